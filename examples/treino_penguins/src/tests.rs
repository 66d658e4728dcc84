//! What is learned from the penguins, and that nothing is learned from chance.
#![allow(clippy::unwrap_used)]

use tarefa_sdk::testing;

use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../penguins/data/penguins.csv");

#[test]
fn penguins_that_no_model_saw_are_told_apart() {
    for semente in [1, 2, 3, 42] {
        let avaliacao = pipeline_treino(DATA.to_owned(), semente, false, 0.95).unwrap();
        assert!(avaliacao.acuracia >= 0.95, "seed {semente}: {avaliacao:?}");
        assert_eq!(testing::label().as_deref(), Some("aprovado"));
        let diagonal: usize = avaliacao.confusao.iter().filter_map(|(especie, n)| n.get(especie)).sum();
        assert_eq!(diagonal as f64 / avaliacao.n_teste as f64, avaliacao.acuracia);
    }
}

#[test]
fn nothing_is_learned_from_shuffled_species() {
    for semente in [1, 2, 3, 42] {
        let avaliacao = pipeline_treino(DATA.to_owned(), semente, true, 0.95).unwrap();
        assert!(avaliacao.acuracia < 0.6, "seed {semente}: {avaliacao:?}");
        assert_eq!(testing::label().as_deref(), Some("reprovado"));
    }
}

#[test]
fn the_parts_are_disjoint_and_the_same_for_the_same_seed() {
    let amostras = carregar_dados(DATA.to_owned()).unwrap();
    assert_eq!(amostras.len(), 342);
    let divide = |semente| Divisao::nova(amostras.clone(), semente, false);
    let Divisao { treino, validacao, teste } = divide(7);
    assert_eq!((treino.len(), validacao.len(), teste.len()), (205, 51, 86));
    assert_eq!(divide(7).teste, teste);
    assert_ne!(divide(8).teste, teste);
    let mut all = [treino, validacao, teste].concat();
    let mut expected = amostras.clone();
    let by_measures = |a: &Amostra, b: &Amostra| a.medidas.partial_cmp(&b.medidas).unwrap();
    all.sort_by(by_measures);
    expected.sort_by(by_measures);
    assert_eq!(all, expected);
}

#[test]
fn a_table_that_does_not_fit_is_refused() {
    assert_eq!(dados::ler("a\n1\n").unwrap_err().message(), "a tabela não tem a coluna `bill_length_mm`");
    assert!(carregar_dados("/nowhere.csv".to_owned()).unwrap_err().message().contains("--dir"));
}
