//! The tutorial's `pipeline_incremental.py`: works only where there is something new, and says which it was.

use std::time::{Duration, SystemTime};

use tarefa_sdk::prelude::*;

#[data]
pub struct Execucao {
    pub status: String,
    pub registros: u64,
    pub timestamp: String,
}

/// Verifica se há novos dados para processar
#[task]
pub fn verificar_novos_dados() -> Result<bool> {
    info!("Verificando disponibilidade de novos dados...");

    // Simula verificação de novos dados
    sleep(Duration::from_secs(1));

    // Simula presença de dados (70% de chance)
    let tem_dados = SystemTime::UNIX_EPOCH.elapsed()?.as_secs() % 10 < 7;

    if tem_dados {
        info!("✅ Novos dados detectados - prosseguindo com pipeline");
    } else {
        info!("ℹ️  Nenhum dado novo encontrado - pulando execução");
    }
    Ok(tem_dados)
}

/// Processa apenas dados novos
#[task]
pub fn processar_dados_incrementais() -> Result<u64> {
    info!("Iniciando processamento de dados incrementais...");

    sleep(Duration::from_secs(3));

    // Simula quantidade variável de registros
    let registros_novos = 50 + SystemTime::UNIX_EPOCH.elapsed()?.as_secs() % 100;
    info!("Processados {registros_novos} novos registros");

    Ok(registros_novos)
}

/// Atualiza controles de última execução
#[task]
pub fn atualizar_controle() -> String {
    let timestamp = local_time().to_string();
    info!("Controle atualizado: última execução em {timestamp}");
    timestamp
}

/// Pipeline que executa regularmente mas processa apenas dados novos
#[flow(title = "Pipeline Incremental Agendado")]
pub fn pipeline_incremental_agendado() -> Result<Execucao> {
    // Sempre verifica se há dados novos
    if !verificar_novos_dados()? {
        info!("⏭️  Pipeline pulado - sem dados novos para processar");
        return Ok(execucao("pulado", 0, local_time().to_string()));
    }

    // Processa os dados
    let registros = processar_dados_incrementais()?;

    // Atualiza controles
    let timestamp_controle = atualizar_controle()?;

    info!("✅ Pipeline executado com sucesso: {registros} registros processados");
    Ok(execucao("processado", registros, timestamp_controle))
}

/// O resultado, cujo status é também a etiqueta da execução.
fn execucao(status: &str, registros: u64, timestamp: String) -> Execucao {
    complete_as(status, Execucao { status: status.into(), registros, timestamp })
}

export_module!(
    flows: [pipeline_incremental_agendado],
    tasks: [verificar_novos_dados, processar_dados_incrementais, atualizar_controle],
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    /// What there is to do depends on the time: the run is held to what it met.
    #[test]
    fn the_label_the_status_and_the_log_agree() {
        let execucao = pipeline_incremental_agendado().unwrap();
        assert_eq!(testing::label().as_deref(), Some(execucao.status.as_str()));
        let logs: Vec<_> = testing::logs().into_iter().map(|line| line.message).collect();
        let (n_logs, last) = match execucao.registros {
            0 => (3, "⏭️  Pipeline pulado - sem dados novos para processar".to_owned()),
            n => (6, format!("✅ Pipeline executado com sucesso: {n} registros processados")),
        };
        assert_eq!(execucao.status, if execucao.registros == 0 { "pulado" } else { "processado" });
        assert_eq!((logs.len(), logs.last()), (n_logs, Some(&last)), "{logs:?}");
    }
}
