//! One line of the log, in the Common Log Format, and what is wrong with those that are not.

use std::net::IpAddr;

const METODOS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];

/// Um pedido registrado no log.
#[derive(Debug, PartialEq)]
pub struct Acesso<'a> {
    pub hora: u8,
    /// Sem o que vem depois de `?`.
    pub caminho: &'a str,
    pub status: u16,
    pub bytes: u64,
}

impl<'a> Acesso<'a> {
    /// O pedido, ou o motivo por que a linha é malformada.
    pub fn ler(linha: &'a [u8]) -> Result<Self, &'static str> {
        let linha = str::from_utf8(linha).map_err(|_| "não é UTF-8")?;
        if linha.trim().is_empty() {
            return Err("linha vazia");
        }
        let (endereco, resto) = linha.split_once(" - - [").ok_or("cabeçalho inválido")?;
        endereco.parse::<IpAddr>().map_err(|_| "endereço inválido")?;
        let (data, resto) = resto.split_once("] \"").ok_or("data inválida")?;
        let hora = hora(data).ok_or("data inválida")?;
        let (pedido, resto) = resto.split_once("\" ").ok_or("pedido inválido")?;
        let caminho = caminho(pedido).ok_or("pedido inválido")?;
        let (status, bytes) = resto.split_once(' ').ok_or("tamanho inválido")?;
        let status = status.parse().ok().filter(|status| (100..600).contains(status)).ok_or("status inválido")?;
        // Uma resposta sem corpo tem um traço
        let bytes = if bytes == "-" { 0 } else { bytes.parse().map_err(|_| "tamanho inválido")? };
        Ok(Self { hora, caminho, status, bytes })
    }

    pub fn e_erro(&self) -> bool {
        self.status >= 500
    }
}

/// De `01/Jan/2026:14:05:00 +0000`.
fn hora(data: &str) -> Option<u8> {
    let hora = data.split(':').nth(1)?;
    hora.parse().ok().filter(|hora| *hora < 24)
}

/// De `GET /produtos/7?cor=azul HTTP/1.1`.
fn caminho(pedido: &str) -> Option<&str> {
    let mut palavras = pedido.split(' ');
    let (metodo, alvo, versao) = (palavras.next()?, palavras.next()?, palavras.next()?);
    let valido = METODOS.contains(&metodo) && alvo.starts_with('/') && versao.starts_with("HTTP/");
    (valido && palavras.next().is_none()).then(|| alvo.split('?').next())?
}
