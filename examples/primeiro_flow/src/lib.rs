//! The tutorial's `primeiro_flow.py`: a flow with one task, and the version of it that has a mistake.

use tarefa_sdk::prelude::*;

#[task]
pub fn mensagem_hello() -> String {
    "Olá mundo".into()
}

#[flow]
pub fn flow_hello() -> Result<()> {
    mensagem_hello()?;
    Ok(())
}

/// O primeiro fluxo como o tutorial o escreve de início: a tarefa `mensagem` não existe.
#[flow]
pub fn flow_hello_quebrado() -> Result<()> {
    // Pelo nome, pois em Rust `mensagem()` nem compila
    submit_by_name("mensagem", Value::Null).wait()?;
    Ok(())
}

export_module!(flows: [flow_hello, flow_hello_quebrado], tasks: [mensagem_hello]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn the_task_says_hello() {
        flow_hello().unwrap();
        assert_eq!(mensagem_hello().unwrap(), "Olá mundo");
    }

    #[test]
    fn the_broken_flow_fails_for_want_of_its_task() {
        let error = flow_hello_quebrado().unwrap_err();
        assert_eq!(error.kind(), "missing_entry");
        assert_eq!(testing::submitted()[0].entry, "mensagem");
    }
}
