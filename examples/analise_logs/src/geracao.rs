//! A log to analyse: a day of a shop, the same for the same seed, with an incident and with broken lines.

use std::io::{self, Write};

use fastrand::Rng;

/// Uma linha malformada em cada tantas.
pub const BLOCO: u64 = 100;
/// Na hora do incidente quase todos os pagamentos falham.
pub const HORA_DO_INCIDENTE: u64 = 14;
const FALHAS_NO_INCIDENTE: f64 = 0.8;

const SEGUNDOS_DO_DIA: u64 = 24 * 60 * 60;
const PAGAMENTOS: &str = "/api/pagamentos";
/// Os caminhos e o seu peso, de 100 ao todo; `#` é um número de produto.
const CAMINHOS: [(&str, u64); 6] =
    [("/", 25), ("/produtos/#", 30), ("/busca?produto=#", 15), ("/api/pedidos", 10), (PAGAMENTOS, 15), ("/app.js", 5)];
/// Os status e o seu peso, de 1000 ao todo.
const STATUS: [(u16, u64); 7] = [(200, 870), (302, 30), (304, 50), (404, 40), (500, 4), (502, 3), (503, 3)];

/// Escreve tantas linhas, e em cada bloco de 100 uma malformada.
pub fn escrever(saida: &mut impl Write, linhas: u64, semente: u64) -> io::Result<()> {
    let mut sorte = Rng::with_seed(semente);
    let mut malformada = 0;
    for n in 0..linhas {
        if n % BLOCO == 0 {
            // No último bloco, se incompleto, nenhuma
            malformada = if linhas - n >= BLOCO { n + sorte.u64(0..BLOCO) } else { linhas };
        }
        let linha = linha(&mut sorte, n * SEGUNDOS_DO_DIA / linhas);
        let linha = if n == malformada { estragar(&mut sorte, &linha) } else { linha.into_bytes() };
        saida.write_all(&linha)?;
        saida.write_all(b"\n")?;
    }
    saida.flush()
}

fn linha(sorte: &mut Rng, segundo: u64) -> String {
    let (hora, minuto, segundo) = (segundo / 3600, segundo / 60 % 60, segundo % 60);
    let caminho = sortear(sorte, &CAMINHOS);
    let mut status = sortear(sorte, &STATUS);
    if hora == HORA_DO_INCIDENTE && caminho == PAGAMENTOS && sorte.f64() < FALHAS_NO_INCIDENTE {
        status = 503;
    }
    let metodo = if caminho.starts_with("/api") { "POST" } else { "GET" };
    let alvo = caminho.replace('#', &sorte.u32(1..=200).to_string());
    let bytes = if status == 304 { "-".to_owned() } else { sorte.u32(200..20_000).to_string() };
    format!(
        "203.0.113.{} - - [01/Jan/2026:{hora:02}:{minuto:02}:{segundo:02} +0000] \"{metodo} {alvo} HTTP/1.1\" {status} {bytes}",
        sorte.u8(1..255)
    )
}

/// A linha como a deixam um disco cheio, um programa com defeito ou um atacante.
fn estragar(sorte: &mut Rng, linha: &str) -> Vec<u8> {
    let (antes, depois) = linha.split_once(" HTTP/1.1\" ").unwrap_or((linha, ""));
    match sorte.u8(0..6) {
        0 => antes.into(),
        1 => format!("{antes} HTTP/1.1\" ERRO {depois}").into(),
        2 => linha.replacen("203.0.113.", "999.0.113.", 1).into(),
        3 => [antes.as_bytes(), b"\xff\xfe HTTP/1.1\" ", depois.as_bytes()].concat(),
        4 => Vec::new(),
        _ => format!("{linha}MB").into(),
    }
}

/// Um dos valores, cada um com a probabilidade do seu peso.
fn sortear<T: Copy>(sorte: &mut Rng, pesos: &[(T, u64)]) -> T {
    let mut resto = sorte.u64(0..pesos.iter().map(|(_, peso)| peso).sum());
    for (valor, peso) in pesos {
        if resto < *peso {
            return *valor;
        }
        resto -= peso;
    }
    unreachable!("o sorteio é menor que a soma dos pesos")
}
