//! The tutorial's free exercise, option 2: load, divide, train several models at the same time, validate, evaluate.

mod dados;
mod modelo;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tarefa_sdk::prelude::*;

pub use dados::{Amostra, Divisao};
pub use modelo::{Classe, Modelo};

/// As penalizações que se experimentam, da mais fraca à mais forte.
const L2: [f64; 3] = [0.0, 0.001, 0.01];

/// Um modelo, e quanto acerta nas amostras com que se escolhe.
#[data]
pub struct Candidato {
    pub modelo: Modelo,
    pub acuracia: f64,
}

/// O modelo escolhido, medido em amostras que nunca viu.
#[data]
#[derive(PartialEq)]
pub struct Avaliacao {
    pub acuracia: f64,
    pub n_teste: usize,
    /// De cada espécie, quantas amostras foram tidas por qual.
    pub confusao: BTreeMap<String, BTreeMap<String, usize>>,
    pub modelo: Modelo,
}

/// Carrega os dados de treinamento
#[task(retries = 2, retry_delay = "1s", run_name = "carregar_dados({arquivo})")]
pub fn carregar_dados(arquivo: String) -> Result<Vec<Amostra>> {
    let tabela = std::fs::read_to_string(&arquivo).map_err(|erro| {
        let ajuda = "conceda o diretório: `--dir examples/penguins/data=/data:ro`";
        TaskError::new(format_args!("não se pode ler `{arquivo}`: {erro}; {ajuda}"))
    })?;
    let amostras = dados::ler(&tabela)?;
    info!("{} amostras completas em {arquivo}", amostras.len());
    Ok(amostras)
}

/// Divide as amostras em treino, validação e teste
#[task]
pub fn dividir_dados(amostras: Vec<Amostra>, semente: u64, embaralhar: bool) -> Result<Divisao> {
    let divisao = Divisao::nova(amostras, semente, embaralhar);
    let n = [&divisao.treino, &divisao.validacao, &divisao.teste].map(Vec::len);
    ensure!(!n.contains(&0), "poucas amostras para dividir: {n:?}");
    info!("{} amostras para o treino, {} para a validação, {} para o teste", n[0], n[1], n[2]);
    Ok(divisao)
}

/// Treina um modelo e valida-o
#[task(run_name = "treinar_modelo(l2={l2})")]
pub fn treinar_modelo(divisao: Divisao, l2: f64) -> Candidato {
    let modelo = Modelo::treinar(&divisao.treino, l2);
    let acuracia = modelo.acuracia(&divisao.validacao);
    info!("l2={l2}: {:.1}% de acerto na validação", 100.0 * acuracia);
    Candidato { modelo, acuracia }
}

/// Mede o modelo escolhido nas amostras de teste
#[task]
pub fn avaliar_modelo(modelo: Modelo, divisao: Divisao) -> Avaliacao {
    let mut confusao = BTreeMap::<_, BTreeMap<_, _>>::new();
    for Amostra { especie, medidas } in &divisao.teste {
        let previstas = confusao.entry(especie.clone()).or_default();
        *previstas.entry(modelo.prever(medidas).to_owned()).or_default() += 1;
    }
    let acuracia = modelo.acuracia(&divisao.teste);
    info!("{:.1}% de acerto em {} amostras de teste", 100.0 * acuracia, divisao.teste.len());
    Avaliacao { acuracia, n_teste: divisao.teste.len(), confusao, modelo }
}

/// Aprende a distinguir as espécies de pinguins pelas suas medidas
#[flow(title = "Treino de Pinguins")]
pub fn pipeline_treino(
    /// A tabela, num diretório concedido.
    #[default("/data/penguins.csv")]
    arquivo: String,
    /// Da divisão.
    #[default(42)]
    semente: u64,
    /// Sorteia as espécies entre as amostras, para ver que nada se aprende do acaso.
    #[default(false)]
    embaralhar: bool,
    /// O acerto a partir do qual o modelo é aprovado.
    #[default(0.95)]
    acuracia_min: f64,
) -> Result<Avaliacao> {
    let amostras = carregar_dados::submit(arquivo);
    let divisao = dividir_dados::submit(&amostras, semente, embaralhar);

    // Treina todos ao mesmo tempo
    let runs = L2.map(|l2| treinar_modelo::submit(&divisao, l2));
    let mut candidatos = runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?;
    // Estável: entre iguais fica o último, de penalização mais forte
    candidatos.sort_by(|a, b| a.acuracia.total_cmp(&b.acuracia));
    let Some(melhor) = candidatos.pop() else { bail!("não há candidatos") };
    info!("Escolhido l2={}", melhor.modelo.l2);

    let avaliacao = avaliar_modelo::submit(&melhor.modelo, &divisao).wait()?;
    let etiqueta = if avaliacao.acuracia >= acuracia_min { "aprovado" } else { "reprovado" };
    Ok(complete_as(etiqueta, avaliacao))
}

export_module!(
    flows: [pipeline_treino],
    tasks: [carregar_dados, dividir_dados, treinar_modelo, avaliar_modelo],
);
