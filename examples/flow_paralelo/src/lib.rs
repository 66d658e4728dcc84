//! The tutorial's `flow_paralelo.py`: four tasks that run at the same time.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[data]
#[derive(PartialEq)]
pub struct Processado {
    pub id: u32,
    pub tempo_processamento: u64,
    pub resultado: String,
}

#[task(run_name = "processar_dados(id={dados_id})")]
pub fn processar_dados(dados_id: u32) -> Processado {
    // Simula processamento com tempo variável
    let tempo_processamento = random_range(2..=6);
    sleep(Duration::from_secs(tempo_processamento));

    info!("Processamento {dados_id} finalizado em {tempo_processamento}s");

    Processado { id: dados_id, tempo_processamento, resultado: format!("dados_{dados_id}_processados") }
}

#[flow]
pub fn flow_processamento_paralelo() -> Result<Vec<Processado>> {
    // Submete 4 tarefas para execução
    let runs: Vec<_> = (1..5).map(processar_dados::submit).collect();

    // Aguarda a conclusão de todas as tarefas
    let resultados = runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?;

    info!("Processamento finalizado. Resultados: {}", to_json(&resultados));
    Ok(resultados)
}

export_module!(flows: [flow_processamento_paralelo], tasks: [processar_dados]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn four_results_in_the_order_of_submission() {
        testing::set_random([0.0, 1.0, 0.5, 0.0]);
        let resultados = flow_processamento_paralelo().unwrap();
        let tempos: Vec<_> = resultados.iter().map(|r| (r.id, r.tempo_processamento)).collect();
        assert_eq!(tempos, [(1, 2), (2, 6), (3, 4), (4, 2)]);
        assert_eq!(resultados[3].resultado, "dados_4_processados");
        assert_eq!(testing::logs()[1].message, "Processamento 2 finalizado em 6s");
        assert!(testing::logs()[4].message.starts_with(
            r#"Processamento finalizado. Resultados: [{"id":1,"tempo_processamento":2,"resultado":"dados_1_processados"},"#
        ));
    }
}
