//! The tutorial's `flow_processamento.py`: two tasks that wait, one after the other.

use std::time::Duration;

use tarefa_sdk::prelude::*;

/// Simula uma tarefa que espera um tempo aleatório
#[task(run_name = "mensagem(espera={espera}s)")]
pub fn mensagem(espera: u64) -> String {
    sleep(Duration::from_secs(espera));

    let msg = format!("Esperou {espera} segundos");
    info!("{msg}");
    msg
}

#[flow]
pub fn flow_processamento_dummy() -> Result<()> {
    mensagem(random_range(1..=8))?;
    mensagem(random_range(1..=8))?;
    Ok(())
}

export_module!(flows: [flow_processamento_dummy], tasks: [mensagem]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn each_task_waits_and_says_how_long() {
        testing::set_random([0.0, 1.0]);
        flow_processamento_dummy().unwrap();
        assert_eq!(testing::sleeps(), [Duration::from_secs(1), Duration::from_secs(8)]);
        let logs: Vec<_> = testing::logs().into_iter().map(|line| line.message).collect();
        assert_eq!(logs, ["Esperou 1 segundos", "Esperou 8 segundos"]);
    }
}
