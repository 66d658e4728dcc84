//! What is counted, in a piece and in the whole, and what follows from it.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use tarefa_sdk::prelude::*;

use crate::acesso::Acesso;

/// Linhas malformadas que são guardadas como exemplo.
const EXEMPLOS: usize = 5;
/// Caracteres que se mostram de cada uma.
const LARGURA: usize = 80;
/// Caminhos que o relatório mostra.
const MAIS_PEDIDOS: usize = 10;

/// As contas de um pedaço do log, ou de todo.
#[data]
#[derive(Default, PartialEq)]
pub struct Estatisticas {
    pub linhas: u64,
    pub por_status: BTreeMap<u16, u64>,
    pub por_caminho: BTreeMap<String, u64>,
    pub por_hora: BTreeMap<u8, Hora>,
    /// As linhas malformadas, por motivo.
    pub malformadas: BTreeMap<String, u64>,
    pub exemplos: Vec<Malformada>,
}

#[data]
#[derive(Default, PartialEq)]
pub struct Hora {
    pub pedidos: u64,
    pub erros: u64,
    pub bytes: u64,
}

#[data]
#[derive(PartialEq)]
pub struct Malformada {
    /// A contar de 1.
    pub linha: u64,
    pub motivo: String,
    pub texto: String,
}

/// O que se publica.
#[data]
#[derive(PartialEq)]
pub struct Relatorio {
    pub linhas: u64,
    pub validas: u64,
    pub malformadas: u64,
    pub motivos: BTreeMap<String, u64>,
    pub bytes: u64,
    pub por_status: BTreeMap<u16, u64>,
    /// Fração dos pedidos com status 500 ou mais.
    pub taxa_erros: f64,
    pub mais_pedidos: Vec<Caminho>,
    pub exemplos: Vec<Malformada>,
    pub alertas: Vec<Alerta>,
}

#[data]
#[derive(PartialEq)]
pub struct Caminho {
    pub caminho: String,
    pub pedidos: u64,
}

/// Um valor acima do seu limiar.
#[data]
#[derive(PartialEq)]
pub struct Alerta {
    pub regra: String,
    pub valor: f64,
    pub limiar: f64,
}

impl Estatisticas {
    /// Conta as linhas que começam em `tamanho` bytes do que se lê.
    pub fn contar(mut entrada: impl BufRead, tamanho: u64) -> io::Result<Self> {
        let mut contas = Self::default();
        let (mut lidos, mut linha) = (0, Vec::new());
        while lidos < tamanho {
            linha.clear();
            match entrada.read_until(b'\n', &mut linha)? {
                0 => break,
                n => lidos += n as u64,
            }
            contas.somar_linha(linha.strip_suffix(b"\n").unwrap_or(&linha));
        }
        Ok(contas)
    }

    fn somar_linha(&mut self, linha: &[u8]) {
        self.linhas += 1;
        let acesso = match Acesso::ler(linha) {
            Ok(acesso) => acesso,
            Err(motivo) => {
                *self.malformadas.entry(motivo.into()).or_default() += 1;
                if self.exemplos.len() < EXEMPLOS {
                    let texto = String::from_utf8_lossy(linha).chars().take(LARGURA).collect();
                    self.exemplos.push(Malformada { linha: self.linhas, motivo: motivo.into(), texto });
                }
                return;
            }
        };
        *self.por_status.entry(acesso.status).or_default() += 1;
        match self.por_caminho.get_mut(acesso.caminho) {
            Some(pedidos) => *pedidos += 1,
            None => _ = self.por_caminho.insert(acesso.caminho.into(), 1),
        }
        let hora = self.por_hora.entry(acesso.hora).or_default();
        hora.pedidos += 1;
        hora.erros += u64::from(acesso.e_erro());
        hora.bytes += acesso.bytes;
    }

    /// Acrescenta as contas do pedaço seguinte.
    pub fn juntar(&mut self, seguinte: Self) {
        let vagas = EXEMPLOS - self.exemplos.len();
        let exemplos = seguinte.exemplos.into_iter().take(vagas);
        self.exemplos.extend(exemplos.map(|exemplo| Malformada { linha: self.linhas + exemplo.linha, ..exemplo }));
        self.linhas += seguinte.linhas;
        somar(&mut self.por_status, seguinte.por_status);
        somar(&mut self.por_caminho, seguinte.por_caminho);
        somar(&mut self.malformadas, seguinte.malformadas);
        for (hora, contas) in seguinte.por_hora {
            let soma = self.por_hora.entry(hora).or_default();
            soma.pedidos += contas.pedidos;
            soma.erros += contas.erros;
            soma.bytes += contas.bytes;
        }
    }

    /// O relatório, com um alerta para cada hora e para o todo que passam do limiar.
    pub fn relatorio(self, erros_max: f64, malformadas_max: f64) -> Relatorio {
        let malformadas = self.malformadas.values().sum();
        let validas = self.linhas - malformadas;
        let erros = self.por_hora.values().map(|hora| hora.erros).sum();

        let horas = self.por_hora.iter().map(|(hora, contas)| {
            (format!("erros entre {hora}h e {}h", hora + 1), fracao(contas.erros, contas.pedidos), erros_max)
        });
        let todo = [("linhas malformadas".to_owned(), fracao(malformadas, self.linhas), malformadas_max)];
        let valores = horas.chain(todo).filter(|(_, valor, limiar)| valor > limiar);
        let alertas = valores.map(|(regra, valor, limiar)| Alerta { regra, valor, limiar }).collect();

        let caminhos = self.por_caminho.into_iter().map(|(caminho, pedidos)| Caminho { caminho, pedidos });
        let mut mais_pedidos: Vec<_> = caminhos.collect();
        // Estável: entre iguais vale a ordem alfabética
        mais_pedidos.sort_by_key(|caminho| std::cmp::Reverse(caminho.pedidos));
        mais_pedidos.truncate(MAIS_PEDIDOS);

        Relatorio {
            linhas: self.linhas,
            validas,
            malformadas,
            motivos: self.malformadas,
            bytes: self.por_hora.values().map(|hora| hora.bytes).sum(),
            por_status: self.por_status,
            taxa_erros: fracao(erros, validas),
            mais_pedidos,
            exemplos: self.exemplos,
            alertas,
        }
    }
}

fn somar<K: Ord>(contas: &mut BTreeMap<K, u64>, outras: BTreeMap<K, u64>) {
    for (chave, n) in outras {
        *contas.entry(chave).or_default() += n;
    }
}

/// Zero onde não há de que.
fn fracao(parte: u64, todo: u64) -> f64 {
    if todo == 0 { 0.0 } else { parte as f64 / todo as f64 }
}
