//! Multinomial logistic regression on standardised measures, trained by gradient descent.

use std::collections::BTreeSet;

use tarefa_sdk::prelude::*;

use crate::dados::{Amostra, Medidas};

/// Passos da descida, e o seu tamanho: com medidas padronizadas converge em muito menos.
const EPOCAS: u32 = 500;
const PASSO: f64 = 0.5;

#[data]
#[derive(PartialEq)]
pub struct Modelo {
    /// Quanto se penalizam os pesos.
    pub l2: f64,
    pub medias: Medidas,
    pub desvios: Medidas,
    pub classes: Vec<Classe>,
}

#[data]
#[derive(PartialEq)]
pub struct Classe {
    pub especie: String,
    pub pesos: Medidas,
    pub vies: f64,
}

impl Modelo {
    /// Aprende de amostras, das quais há pelo menos uma.
    pub fn treinar(amostras: &[Amostra], l2: f64) -> Self {
        let n = amostras.len() as f64;
        let media = |valor: &dyn Fn(&Amostra) -> f64| amostras.iter().map(valor).sum::<f64>() / n;
        let medias: Medidas = std::array::from_fn(|i| media(&|amostra| amostra.medidas[i]));
        let variancias: Medidas = std::array::from_fn(|i| media(&|amostra| (amostra.medidas[i] - medias[i]).powi(2)));
        // Uma medida sempre igual nada ensina: por 1 se pode dividir
        let desvios = variancias.map(|variancia| if variancia > 0.0 { variancia.sqrt() } else { 1.0 });

        let especies: BTreeSet<_> = amostras.iter().map(|amostra| amostra.especie.clone()).collect();
        let classe = |especie| Classe { especie, pesos: Medidas::default(), vies: 0.0 };
        let mut modelo = Self { l2, medias, desvios, classes: especies.into_iter().map(classe).collect() };
        for _ in 0..EPOCAS {
            modelo.dar_um_passo(amostras);
        }
        modelo
    }

    /// Move os pesos contra o gradiente da entropia cruzada média.
    fn dar_um_passo(&mut self, amostras: &[Amostra]) {
        let mut gradiente = vec![(Medidas::default(), 0.0); self.classes.len()];
        for amostra in amostras {
            let medidas = self.padronizar(&amostra.medidas);
            for ((classe, p), (pesos, vies)) in
                self.classes.iter().zip(self.probabilidades(&medidas)).zip(&mut gradiente)
            {
                let erro = p - f64::from(classe.especie == amostra.especie);
                pesos.iter_mut().zip(medidas).for_each(|(peso, medida)| *peso += erro * medida);
                *vies += erro;
            }
        }
        let n = amostras.len() as f64;
        for (classe, (pesos, vies)) in self.classes.iter_mut().zip(gradiente) {
            for (peso, soma) in classe.pesos.iter_mut().zip(pesos) {
                *peso -= PASSO * (soma / n + self.l2 * *peso);
            }
            classe.vies -= PASSO * vies / n;
        }
    }

    fn padronizar(&self, medidas: &Medidas) -> Medidas {
        std::array::from_fn(|i| (medidas[i] - self.medias[i]) / self.desvios[i])
    }

    /// A probabilidade de cada classe.
    fn probabilidades(&self, medidas: &Medidas) -> Vec<f64> {
        let notas: Vec<_> = self.classes.iter().map(|classe| classe.nota(medidas)).collect();
        // Sem a maior, a exponencial poderia passar de todo limite
        let maior = notas.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let pesos: Vec<_> = notas.iter().map(|nota| (nota - maior).exp()).collect();
        let soma: f64 = pesos.iter().sum();
        pesos.iter().map(|peso| peso / soma).collect()
    }

    /// A espécie mais provável.
    pub fn prever(&self, medidas: &Medidas) -> &str {
        let medidas = self.padronizar(medidas);
        let nota = |classe: &&Classe| classe.nota(&medidas);
        let melhor = self.classes.iter().max_by(|a, b| nota(a).total_cmp(&nota(b)));
        melhor.map_or("", |classe| &classe.especie)
    }

    /// A fração das amostras cuja espécie é a prevista.
    pub fn acuracia(&self, amostras: &[Amostra]) -> f64 {
        let certas = amostras.iter().filter(|amostra| self.prever(&amostra.medidas) == amostra.especie).count();
        certas as f64 / amostras.len() as f64
    }
}

impl Classe {
    fn nota(&self, medidas: &Medidas) -> f64 {
        self.vies + self.pesos.iter().zip(medidas).map(|(peso, medida)| peso * medida).sum::<f64>()
    }
}
