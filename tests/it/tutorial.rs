//! The other scripts of the tutorial: same behaviour, same messages, by a clock that the test moves.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text, time};
use crate::examples::{MINUTE, seconds, with_example};

async fn start(module: &str) -> Running {
    with_example(TestApp::new().manual_clock(), module).await
}

async fn finished(app: &Running, module: &str, entry: &str) -> Value {
    let id = app.submit(module, entry, json!({})).await;
    app.advance_until_final(&id, MINUTE).await
}

fn entries(children: &[Value]) -> Vec<String> {
    children.iter().map(|child| text(&child["entry"])).collect()
}

/// Seconds since 1970, as `time.time()` has them.
fn epoch(at: &Value) -> i64 {
    time(at).as_second()
}

/// What `datetime.now().isoformat()` writes at a time, with its distance from UTC.
fn iso(at: &Value) -> String {
    time(at).strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

#[tokio::test]
async fn primeiro_flow_runs_its_task() {
    let app = start("primeiro_flow").await;
    let run = finished(&app, "primeiro_flow", "flow_hello").await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &Value::Null), "{run}");
    let task = app.show(&child_id(&text(&run["id"]), 0)).await;
    assert_eq!((&task["entry"], &task["result"]), (&json!("mensagem_hello"), &json!("Olá mundo")));
}

#[tokio::test]
async fn primeiro_flow_as_it_is_first_written_fails_with_the_nearest_name() {
    let app = start("primeiro_flow").await;
    let run = finished(&app, "primeiro_flow", "flow_hello_quebrado").await;
    assert_eq!(run["state"], "failed", "{run}");
    let message = "module `primeiro_flow` has no entry `mensagem`; did you mean `mensagem_hello`?";
    for run in [&run, &app.show(&child_id(&text(&run["id"]), 0)).await] {
        assert_eq!((&run["failure"]["kind"], &run["failure"]["message"]), (&json!("missing_entry"), &json!(message)));
    }
}

#[tokio::test]
async fn flow_processamento_takes_as_long_as_both_tasks() {
    let app = start("flow_processamento").await;
    let run = finished(&app, "flow_processamento", "flow_processamento_dummy").await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &Value::Null), "{run}");
    let children = app.children(&text(&run["id"])).await;
    assert_eq!(children.len(), 2);
    let mut sum = 0;
    for child in &children {
        let child = app.show(&text(&child["id"])).await;
        let espera = child["parameters"]["espera"].as_i64().unwrap();
        assert!((1..=8).contains(&espera), "{child}");
        assert_eq!(seconds(&child), espera);
        assert_eq!(child["name"], format!("mensagem(espera={espera}s)"));
        let msg = format!("Esperou {espera} segundos");
        assert_eq!(child["result"], json!(msg));
        assert_eq!(app.messages(&text(&child["id"])).await, [msg]);
        sum += espera;
    }
    assert_eq!(seconds(&run), sum);
    assert_eq!(children[0]["finished_at"], children[1]["started_at"]);
}

#[tokio::test]
async fn pipeline_vendas_reports_what_it_extracted() {
    let app = start("pipeline_vendas").await;
    let run = finished(&app, "pipeline_vendas", "pipeline_etl_completo").await;
    assert_eq!((&run["state"], &run["name"]), (&json!("completed"), &json!("Pipeline ETL Vendas Completo")), "{run}");
    let id = text(&run["id"]);
    let children = app.children(&id).await;
    let expected = [
        "extrair_vendas_database",
        "validar_qualidade_dados",
        "aplicar_transformacoes",
        "carregar_data_warehouse",
        "gerar_relatorio_execucao",
    ];
    assert_eq!(entries(&children), expected);
    assert_eq!(children.iter().map(seconds).collect::<Vec<_>>(), [2, 0, 1, 3, 0]);

    // Each task is given exactly what the one before it returned, to the last digit.
    let mut whole = Vec::new();
    for child in &children {
        whole.push(app.show(&text(&child["id"])).await);
    }
    for pair in whole.windows(2) {
        let parameters = pair[1]["parameters"].as_object().unwrap();
        assert_eq!(parameters.values().collect::<Vec<_>>(), [&pair[0]["result"]]);
    }

    let vendas = whole[2]["result"].as_array().unwrap();
    let n = vendas.len();
    assert!((10..=50).contains(&n), "{n} sales");
    let mut distribuicao = json!({});
    let mut total = 0.0;
    for (venda, id) in vendas.iter().zip(1..) {
        let field = |name: &str| venda[name].as_f64().unwrap();
        assert_eq!(venda["id"], id);
        assert!((1.0..=100.0).contains(&field("cliente_id")) && (1.0..=20.0).contains(&field("produto_id")), "{venda}");
        assert!((10.0..=1000.0).contains(&field("valor_unitario")), "{venda}");
        let cents = field("valor_unitario") * 100.0;
        assert!((cents - cents.round()).abs() < 1e-6, "two decimals: {venda}");
        let age =
            time(&whole[0]["finished_at"]).duration_since(text(&venda["data_venda"]).parse::<Timestamp>().unwrap());
        assert!(age.as_secs() % 86_400 == 0 && age <= SignedDuration::from_hours(30 * 24), "{venda}");
        let valor = field("quantidade") * field("valor_unitario");
        assert!((field("valor_total") - valor).abs() < 1e-9, "{venda}");
        let categoria = if valor > 500.0 {
            "alta"
        } else if valor > 100.0 {
            "media"
        } else {
            "baixa"
        };
        assert_eq!(venda["categoria"], categoria);
        distribuicao[categoria] = json!(distribuicao[categoria].as_u64().unwrap_or(0) + 1);
        total += valor;
    }
    let timestamp = iso(&run["finished_at"]);
    let result = &run["result"];
    assert_eq!((&result["timestamp"], &result["status"]), (&json!(timestamp), &json!("sucesso")));
    assert_eq!(result["metricas"]["registros_carregados"], n);
    assert_eq!(result["metricas"]["distribuicao"], distribuicao);
    assert!((result["metricas"]["valor_total"].as_f64().unwrap() - total).abs() < 1e-6, "{result}");

    let expected = [
        "Conectando ao banco de dados de vendas".to_owned(),
        format!("Extraídas {n} vendas do banco de dados"),
        "Iniciando validação de qualidade dos dados".to_owned(),
        "Taxa de qualidade: 100.0% (0 problemas encontrados)".to_owned(),
        "Aplicando transformações nos dados".to_owned(),
        format!("Transformações aplicadas em {n} registros"),
        "Iniciando carregamento no Data Warehouse".to_owned(),
        "Carregamento concluído:".to_owned(),
        format!("- Total de registros: {n}"),
        format!("- Valor total: R$ {total:.2}"),
        format!("- Distribuição por categoria: {distribuicao}"),
        "=== RELATÓRIO DE EXECUÇÃO ===".to_owned(),
        format!("Timestamp: {timestamp}"),
        "Status: sucesso".to_owned(),
        format!("Registros processados: {n}"),
    ];
    assert_eq!(app.messages(&id).await, expected);
}

#[tokio::test]
async fn flow_para_agendar_tells_the_local_time_of_its_zone() {
    let app = start("flow_para_agendar").await;
    let body = json!({"module": "flow_para_agendar", "timezone": "America/Sao_Paulo"});
    let id = app.submit_with(body).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["name"], seconds(&run)), (&json!("Pipeline Diário"), 2), "{run}");
    let registros = 100 + epoch(&run["finished_at"]) % 50;
    assert_eq!(run["result"], json!({"timestamp": "2026-01-02T00:04:07.000000-03:00", "registros": registros}));
    let expected = [
        "Executando processamento diário às 00:04:05".to_owned(),
        format!("Processados {registros} registros"),
        format!("Pipeline diário executado com sucesso: {registros} registros processados"),
    ];
    assert_eq!(app.messages(&id).await, expected);
}

/// The check finds something new in seven of ten seconds: a run at the sixth, and one at the seventh.
#[tokio::test]
async fn pipeline_incremental_says_whether_it_had_anything_to_do() {
    let app = start("pipeline_incremental").await;
    let run = finished(&app, "pipeline_incremental", "pipeline_incremental_agendado").await;
    let id = text(&run["id"]);
    assert_eq!((&run["state"], &run["label"], seconds(&run)), (&json!("completed"), &json!("processado"), 4), "{run}");
    assert_eq!(run["name"], "Pipeline Incremental Agendado");
    let expected = ["verificar_novos_dados", "processar_dados_incrementais", "atualizar_controle"];
    assert_eq!(entries(&app.children(&id).await), expected);
    let (registros, timestamp) = (50 + epoch(&run["finished_at"]) % 100, iso(&run["finished_at"]));
    assert_eq!(run["result"], json!({"status": "processado", "registros": registros, "timestamp": timestamp}));
    let expected = [
        "Verificando disponibilidade de novos dados...".to_owned(),
        "✅ Novos dados detectados - prosseguindo com pipeline".to_owned(),
        "Iniciando processamento de dados incrementais...".to_owned(),
        format!("Processados {registros} novos registros"),
        format!("Controle atualizado: última execução em {timestamp}"),
        format!("✅ Pipeline executado com sucesso: {registros} registros processados"),
    ];
    assert_eq!(app.messages(&id).await, expected);

    app.advance(SignedDuration::from_secs((16 - epoch(&run["finished_at"]) % 10) % 10));
    let run = finished(&app, "pipeline_incremental", "pipeline_incremental_agendado").await;
    let id = text(&run["id"]);
    assert_eq!((&run["state"], &run["label"], seconds(&run)), (&json!("completed"), &json!("pulado"), 1), "{run}");
    assert_eq!(entries(&app.children(&id).await), ["verificar_novos_dados"]);
    let timestamp = iso(&run["finished_at"]);
    assert_eq!(run["result"], json!({"status": "pulado", "registros": 0, "timestamp": timestamp}));
    let expected = [
        "Verificando disponibilidade de novos dados...",
        "ℹ️  Nenhum dado novo encontrado - pulando execução",
        "⏭️  Pipeline pulado - sem dados novos para processar",
    ];
    assert_eq!(app.messages(&id).await, expected);
}
