//! The tutorial's `flow_erros.py`: a task that often fails, its retries, and a flow that copes.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task(retries = 3, retry_delay = "2s")]
pub fn tarefa_instavel() -> Result<String> {
    // 60% de chance de falha
    if random() < 0.6 {
        error!("Simulando falha na tarefa");
        bail!("Erro simulado - recurso indisponível");
    }

    info!("Tarefa executada com sucesso");
    Ok("dados_processados".into())
}

#[task]
pub fn tarefa_dependente(dados: String) -> String {
    info!("Processando dados recebidos: {dados}");
    sleep(Duration::from_secs(1));
    format!("resultado_final_{dados}")
}

#[flow(title = "Pipeline com Tratamento de Erros")]
pub fn pipeline_com_erros() -> Option<String> {
    match tarefa_instavel().and_then(tarefa_dependente) {
        Ok(resultado) => Some(resultado),
        Err(erro) => {
            error!("Pipeline falhou: {erro}");
            None
        }
    }
}

export_module!(flows: [pipeline_com_erros], tasks: [tarefa_instavel, tarefa_dependente]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn the_flow_returns_the_result() {
        testing::set_random([0.6]);
        assert_eq!(pipeline_com_erros().unwrap().as_deref(), Some("resultado_final_dados_processados"));
    }

    #[test]
    fn the_flow_copes_with_a_failure() {
        testing::set_random([0.59]);
        assert_eq!(pipeline_com_erros().unwrap(), None);
        let logs: Vec<_> = testing::logs().into_iter().map(|line| line.message).collect();
        assert_eq!(logs, ["Simulando falha na tarefa", "Pipeline falhou: Erro simulado - recurso indisponível"]);
    }
}
