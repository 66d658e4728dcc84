//! The tutorial's free exercise, option 1: the analysis of an access log, read in pieces at the same time.
//!
//! The log is a file in a granted directory, which tasks alone see: the flow passes paths and byte ranges.

mod acesso;
mod estatisticas;
mod geracao;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom};

use tarefa_sdk::prelude::*;

pub use acesso::Acesso;
pub use estatisticas::{Alerta, Caminho, Estatisticas, Hora, Malformada, Relatorio};

/// O que se lê ou escreve de uma vez: cada ida ao sistema custa mais que copiar tanto.
const BUFFER_BYTES: usize = 64 << 10;
/// Pedaços de um log, no máximo: as contas de todos juntos são o parâmetro de uma tarefa.
const PEDACOS_MAX: u64 = 64;

/// Gera um log de acessos, sempre o mesmo para a mesma semente, e devolve o seu tamanho em bytes
#[task(retries = 2, retry_delay = "1s", run_name = "gerar_log({linhas} linhas)")]
pub fn gerar_log(arquivo: String, linhas: u64, semente: u64) -> Result<u64> {
    let destino = File::create(&arquivo).map_err(|erro| sem_acesso(&arquivo, &erro))?;
    geracao::escrever(&mut BufWriter::with_capacity(BUFFER_BYTES, &destino), linhas, semente)?;
    let bytes = destino.metadata()?.len();
    info!("{linhas} linhas geradas em {arquivo} ({bytes} bytes)");
    Ok(bytes)
}

/// Mede um log que já existe
#[task(retries = 2, retry_delay = "1s")]
pub fn medir_log(arquivo: String) -> Result<u64> {
    let bytes = std::fs::metadata(&arquivo).map_err(|erro| sem_acesso(&arquivo, &erro))?.len();
    info!("{arquivo} tem {bytes} bytes");
    Ok(bytes)
}

/// Lê, valida e conta as linhas que começam entre os bytes `inicio` e `fim`
#[task(retries = 2, retry_delay = "1s", run_name = "analisar_pedaco({inicio} a {fim})")]
pub fn analisar_pedaco(arquivo: String, inicio: u64, fim: u64) -> Result<Estatisticas> {
    let arquivo = File::open(&arquivo).map_err(|erro| sem_acesso(&arquivo, &erro))?;
    let mut entrada = BufReader::with_capacity(BUFFER_BYTES, arquivo);
    let mut comeco = inicio;
    if inicio > 0 {
        // A linha que já vai a meio é do pedaço anterior; a que começa aqui tem o fim da outra logo antes
        entrada.seek(SeekFrom::Start(inicio - 1))?;
        comeco = inicio - 1 + entrada.skip_until(b'\n')? as u64;
    }
    let contas = Estatisticas::contar(entrada, fim.saturating_sub(comeco))?;
    info!("{} linhas, {} malformadas", contas.linhas, contas.malformadas.values().sum::<u64>());
    Ok(contas)
}

/// Junta as contas dos pedaços, compara com os limiares e escreve o relatório no log
#[task]
pub fn consolidar(pedacos: Vec<Estatisticas>, erros_max: f64, malformadas_max: f64) -> Result<Relatorio> {
    let mut contas = Estatisticas::default();
    for pedaco in pedacos {
        contas.juntar(pedaco);
    }
    ensure!(contas.linhas > 0, "o log não tem linhas");
    let relatorio = contas.relatorio(erros_max, malformadas_max);

    info!("{} pedidos, {} bytes", relatorio.validas, relatorio.bytes);
    info!("Taxa de erros: {:.2}%", 100.0 * relatorio.taxa_erros);
    info!("Status: {}", to_json(&relatorio.por_status));
    for Caminho { caminho, pedidos } in &relatorio.mais_pedidos {
        info!("- {caminho}: {pedidos} pedidos");
    }
    for Malformada { linha, motivo, .. } in &relatorio.exemplos {
        warn!("Linha {linha} malformada: {motivo}");
    }
    for Alerta { regra, valor, limiar } in &relatorio.alertas {
        error!("ALERTA: {regra}: {:.2}% (limiar de {:.2}%)", 100.0 * valor, 100.0 * limiar);
    }
    Ok(relatorio)
}

/// Gera um log de acessos, analisa-o em pedaços ao mesmo tempo, e alerta do que passa dos limiares
#[flow(title = "Análise de Logs")]
pub fn pipeline_logs(
    /// O log, num diretório concedido.
    #[default("/logs/access.log")]
    arquivo: String,
    /// Se o log é gerado antes; senão, analisa o que lá está.
    #[default(true)]
    gerar: bool,
    #[default(100_000)] linhas: u64,
    #[default(42)] semente: u64,
    #[default(8)] pedacos: u64,
    /// Fração dos pedidos de uma hora.
    #[default(0.05)]
    erros_max: f64,
    /// Fração das linhas.
    #[default(0.02)]
    malformadas_max: f64,
) -> Result<Relatorio> {
    ensure!((1..=PEDACOS_MAX).contains(&pedacos), "`pedacos` é {pedacos}; vai de 1 a {PEDACOS_MAX}");
    let bytes = if gerar { gerar_log(arquivo.clone(), linhas, semente)? } else { medir_log(arquivo.clone())? };

    // Um pedaço vai até onde o seguinte começa
    let corte = |n: u64| (u128::from(bytes) * u128::from(n) / u128::from(pedacos)) as u64;
    let runs: Vec<_> = (0..pedacos).map(|n| analisar_pedaco::submit(&arquivo, corte(n), corte(n + 1))).collect();
    let contas = runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?;

    let relatorio = consolidar(contas, erros_max, malformadas_max)?;
    let etiqueta = if relatorio.alertas.is_empty() { "normal" } else { "alerta" };
    Ok(complete_as(etiqueta, relatorio))
}

fn sem_acesso(arquivo: &str, erro: &std::io::Error) -> TaskError {
    TaskError::new(format_args!("sem acesso a `{arquivo}`: {erro}; conceda o diretório: `--dir PASTA=/logs:rw`"))
}

export_module!(flows: [pipeline_logs], tasks: [gerar_log, medir_log, analisar_pedaco, consolidar]);
