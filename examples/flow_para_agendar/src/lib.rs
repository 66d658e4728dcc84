//! The tutorial's `flow_para_agendar.py`: a small flow to be run at intervals.

use std::time::{Duration, SystemTime};

use tarefa_sdk::prelude::*;

#[data]
pub struct Execucao {
    pub timestamp: String,
    pub registros: u64,
}

/// Simula processamento de dados diários
#[task]
pub fn processar_dados_diarios() -> Result<u64> {
    info!("Executando processamento diário às {}", local_time().time());

    // Simula processamento
    sleep(Duration::from_secs(2));

    let segundos = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let registros_processados = 100 + segundos % 50;
    info!("Processados {registros_processados} registros");

    Ok(registros_processados)
}

#[flow(title = "Pipeline Diário")]
pub fn pipeline_diario() -> Result<Execucao> {
    let registros = processar_dados_diarios()?;

    info!("Pipeline diário executado com sucesso: {registros} registros processados");

    Ok(Execucao { timestamp: local_time().to_string(), registros })
}

export_module!(flows: [pipeline_diario], tasks: [processar_dados_diarios]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn the_log_tells_local_time_and_records() {
        testing::set_context(|context| context.local_time = "2026-03-01T06:30:00.000000-03:00".into());
        let Execucao { timestamp, registros } = pipeline_diario().unwrap();
        assert_eq!(timestamp, "2026-03-01T06:30:00.000000-03:00");
        assert!((100..150).contains(&registros), "{registros}");
        let logs: Vec<_> = testing::logs().into_iter().map(|line| line.message).collect();
        let expected = [
            "Executando processamento diário às 06:30:00".to_owned(),
            format!("Processados {registros} registros"),
            format!("Pipeline diário executado com sucesso: {registros} registros processados"),
        ];
        assert_eq!(logs, expected);
    }
}
