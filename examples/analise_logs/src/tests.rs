//! Pieces, lines and thresholds; a test of the host counts a whole log by itself.
#![allow(clippy::unwrap_used)]

use tarefa_sdk::testing;

use super::*;

const LINHA: &str = r#"203.0.113.7 - - [01/Jan/2026:14:05:09 +0000] "GET /produtos/7?cor=azul HTTP/1.1" 200 512"#;

fn gerado(linhas: u64, semente: u64) -> Vec<u8> {
    let mut log = Vec::new();
    geracao::escrever(&mut log, linhas, semente).unwrap();
    log
}

#[test]
fn a_line_is_read_or_refused_with_its_reason() {
    let acesso = Acesso::ler(LINHA.as_bytes()).unwrap();
    assert_eq!(acesso, Acesso { hora: 14, caminho: "/produtos/7", status: 200, bytes: 512 });
    let sem_corpo = LINHA.replace("200 512", "304 -");
    assert_eq!(Acesso::ler(sem_corpo.as_bytes()).unwrap().bytes, 0);

    let refused = [
        ("203.0.113.7", "999.0.113.7", "endereço inválido"),
        (" - - ", " ", "cabeçalho inválido"),
        (":14:", ":24:", "data inválida"),
        ("GET", "TAKE", "pedido inválido"),
        (" HTTP/1.1", "", "pedido inválido"),
        ("\" 200 512", "", "pedido inválido"),
        (" 200 ", " 600 ", "status inválido"),
        (" 512", "", "tamanho inválido"),
        ("512", "0.5kB", "tamanho inválido"),
    ];
    for (from, to, motivo) in refused {
        assert_eq!(Acesso::ler(LINHA.replace(from, to).as_bytes()), Err(motivo), "{to}");
    }
    assert_eq!(Acesso::ler(b" "), Err("linha vazia"));
    assert_eq!(Acesso::ler(b"203.0.113.7\xff"), Err("não é UTF-8"));
}

#[test]
fn one_line_of_each_hundred_is_malformed() {
    let contas = Estatisticas::contar(&gerado(2_050, 1)[..], u64::MAX).unwrap();
    assert_eq!((contas.linhas, contas.malformadas.values().sum()), (2_050, 20));
    assert_eq!(gerado(500, 7), gerado(500, 7));
    assert_ne!(gerado(500, 7), gerado(500, 8));
}

/// However the log is cut, each line is counted once: in the piece where it begins.
#[test]
fn pieces_add_up_to_the_whole() {
    let folder = std::env::temp_dir().join(format!("analise-logs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let arquivo = folder.join("access.log").to_string_lossy().into_owned();
    let report = |pedacos| pipeline_logs(arquivo.clone(), true, 1_000, 3, pedacos, 0.05, 0.02).unwrap();
    let whole = report(1);
    assert_eq!((whole.linhas, whole.malformadas, whole.exemplos.len()), (1_000, 10, 5));
    for pedacos in 2..=PEDACOS_MAX {
        assert_eq!(report(pedacos), whole, "{pedacos} pieces");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_cut_at_the_beginning_of_a_line_gives_it_to_the_later_piece() {
    let path = std::env::temp_dir().join(format!("analise-logs-cut-{}", std::process::id()));
    std::fs::write(&path, "a\nb\nc").unwrap();
    let linhas = |inicio, fim| analisar_pedaco(path.to_string_lossy().into_owned(), inicio, fim).unwrap().linhas;
    assert_eq!([linhas(0, 2), linhas(2, 5), linhas(1, 2), linhas(3, 4), linhas(4, 5)], [1, 2, 0, 0, 1]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_passes_a_threshold_is_an_alert_and_gives_the_label() {
    let contas = Estatisticas::contar(&gerado(20_000, 42)[..], u64::MAX).unwrap();
    let rules = |erros_max, malformadas_max| -> Vec<_> {
        let relatorio = contas.clone().relatorio(erros_max, malformadas_max);
        relatorio.alertas.into_iter().map(|alerta| alerta.regra).collect()
    };
    assert_eq!(rules(0.05, 0.01), ["erros entre 14h e 15h"]);
    assert_eq!(rules(0.05, 0.009), ["erros entre 14h e 15h", "linhas malformadas"]);
    assert_eq!(rules(0.5, 0.01), [""; 0]);

    consolidar(vec![contas], 0.05, 0.02).unwrap();
    let alerts = testing::logs().into_iter().filter(|line| line.level == testing::Level::Error);
    assert_eq!(alerts.count(), 1);
}
