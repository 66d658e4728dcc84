//! The samples: read from the table, and divided by chance.

use std::collections::BTreeMap;

use fastrand::Rng;
use tarefa_sdk::prelude::*;

/// As colunas de que o classificador aprende.
const MEDIDAS: [&str; 4] = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"];
const ESPECIE: &str = "species";
/// O que a tabela tem onde não se mediu.
const FALTA: &str = "NA";

/// Frações das amostras com que se escolhe o modelo, e com que se mede o escolhido; o resto é para o treino.
const VALIDACAO: f64 = 0.15;
const TESTE: f64 = 0.25;

pub type Medidas = [f64; MEDIDAS.len()];

/// Um pinguim.
#[data]
#[derive(PartialEq)]
pub struct Amostra {
    pub medidas: Medidas,
    pub especie: String,
}

/// As amostras em três partes, cada amostra numa só.
#[data]
pub struct Divisao {
    pub treino: Vec<Amostra>,
    pub validacao: Vec<Amostra>,
    pub teste: Vec<Amostra>,
}

/// As linhas da tabela que têm todas as medidas.
pub fn ler(tabela: &str) -> Result<Vec<Amostra>> {
    let mut amostras = Vec::new();
    for linha in csv::Reader::from_reader(tabela.as_bytes()).deserialize() {
        let linha: BTreeMap<String, String> = linha?;
        let valor = |coluna: &str| {
            let falta = || TaskError::permanent(format_args!("a tabela não tem a coluna `{coluna}`"));
            linha.get(coluna).map(String::as_str).ok_or_else(falta)
        };
        let mut medidas = Medidas::default();
        let mut completa = true;
        for (medida, coluna) in medidas.iter_mut().zip(MEDIDAS) {
            match valor(coluna)? {
                FALTA => completa = false,
                texto => *medida = texto.parse()?,
            }
        }
        if completa {
            amostras.push(Amostra { medidas, especie: valor(ESPECIE)?.into() });
        }
    }
    Ok(amostras)
}

impl Divisao {
    /// A mesma para a mesma semente. Com `embaralhar` as espécies são antes sorteadas entre as amostras.
    pub fn nova(mut amostras: Vec<Amostra>, semente: u64, embaralhar: bool) -> Self {
        let mut sorte = Rng::with_seed(semente);
        if embaralhar {
            let mut especies: Vec<_> = amostras.iter().map(|amostra| amostra.especie.clone()).collect();
            sorte.shuffle(&mut especies);
            for (amostra, especie) in amostras.iter_mut().zip(especies) {
                amostra.especie = especie;
            }
        }
        sorte.shuffle(&mut amostras);
        let parte = |fracao: f64| (amostras.len() as f64 * fracao).round() as usize;
        let (n_validacao, n_teste) = (parte(VALIDACAO), parte(TESTE));
        let teste = amostras.split_off(amostras.len() - n_teste);
        let validacao = amostras.split_off(amostras.len() - n_validacao);
        Self { treino: amostras, validacao, teste }
    }
}
