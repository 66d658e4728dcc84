//! The examples of the repository do what their tutorial and their data say.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::DirMode;
use tempfile::TempDir;

use crate::app::{Running, TestApp, child_id, example, repository, text, time};
use crate::service::{Answer, Service, nobody};

/// Longer than any sleep in the examples, and shorter than the default time limit of a task.
pub const MINUTE: SignedDuration = SignedDuration::from_secs(60);

pub async fn with_example(app: TestApp, name: &str) -> Running {
    let app = app.start().await;
    let (status, body) = app.try_register(name, example(name)).await;
    assert_eq!(status, 201, "{body}");
    app
}

/// The whole seconds that a run took by the clock of the test.
pub fn seconds(run: &Value) -> i64 {
    let took = time(&run["finished_at"]).duration_since(time(&run["started_at"]));
    assert_eq!(took.subsec_nanos(), 0, "the clock moves by whole seconds: {run}");
    took.as_secs()
}

#[tokio::test]
async fn flow_paralelo_takes_as_long_as_its_longest_task() {
    let app = with_example(TestApp::new().manual_clock(), "flow_paralelo").await;
    let id = app.submit("flow_paralelo", "flow_processamento_paralelo", json!({})).await;
    app.until_asleep(4, MINUTE).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "completed", "{run}");

    let results = run["result"].as_array().unwrap();
    let children = app.children(&id).await;
    assert_eq!((results.len(), children.len()), (4, 4));
    let mut expected = Vec::new();
    for ((result, child), n) in results.iter().zip(&children).zip(1..) {
        let tempo = result["tempo_processamento"].as_i64().unwrap();
        assert!((2..=6).contains(&tempo), "{result}");
        assert_eq!((&result["id"], &result["resultado"]), (&json!(n), &json!(format!("dados_{n}_processados"))));
        assert_eq!(child["name"], format!("processar_dados(id={n})"));
        assert_eq!(child["started_at"], run["started_at"], "all at once: {child}");
        let child = text(&child["id"]);
        assert_eq!(app.messages(&child).await, [format!("Processamento {n} finalizado em {tempo}s")]);
        expected.push(tempo);
    }
    // The end of a task may be noted when the clock has gone on already; that of the last one is exact.
    assert_eq!(seconds(&run), *expected.iter().max().unwrap());
    let last = app.messages(&id).await.pop().unwrap();
    let shown = last.strip_prefix("Processamento finalizado. Resultados: ").expect(&last);
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), run["result"]);
}

#[tokio::test]
async fn flow_dependencias_passes_its_data_from_task_to_task() {
    let app = with_example(TestApp::new().manual_clock(), "flow_dependencias").await;
    let id = app.submit("flow_dependencias", "pipeline_etl_vendas", json!({})).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["result"], json!({"status": "success", "registros_carregados": 3}), "{run}");
    assert_eq!(
        (run["title"].as_str(), run["name"].as_str()),
        (Some("Pipeline ETL Vendas"), Some("Pipeline ETL Vendas"))
    );
    assert_eq!(seconds(&run), 6);
    let children = app.children(&id).await;
    let entries: Vec<_> = children.iter().map(|child| text(&child["entry"])).collect();
    assert_eq!(entries, ["extrair_dados_vendas", "validar_dados", "transformar_dados", "carregar_dados"]);
    assert_eq!(children.iter().map(seconds).collect::<Vec<_>>(), [2, 1, 1, 2]);
    let expected = [
        "Iniciando extração de dados de vendas",
        "Extraídos 3 registros de vendas",
        "Iniciando validação de dados",
        "Registro 1 validado com sucesso",
        "Registro 2 validado com sucesso",
        "Registro 3 validado com sucesso",
        "Iniciando transformação de dados",
        "Produto Notebook: Total = R$ 5000.00",
        "Produto Mouse: Total = R$ 250.00",
        "Produto Teclado: Total = R$ 450.00",
        "Iniciando carregamento no Data Warehouse",
        "Carregados 3 registros no Data Warehouse",
        "Pipeline ETL finalizado com sucesso",
    ];
    assert_eq!(app.messages(&id).await, expected);
}

/// The task fails at random: every run is held to what it met.
#[tokio::test]
async fn flow_erros_copes_with_a_task_that_often_fails() {
    let app = with_example(TestApp::new().manual_clock(), "flow_erros").await;
    for _ in 0..12 {
        let id = app.submit("flow_erros", "pipeline_com_erros", json!({})).await;
        let run = app.advance_until_final(&id, MINUTE).await;
        assert_eq!(
            (run["state"].as_str(), run["name"].as_str()),
            (Some("completed"), Some("Pipeline com Tratamento de Erros"))
        );
        let unstable = app.show(&child_id(&id, 0)).await;
        let attempts = unstable["attempts"].as_array().unwrap();
        let failed = attempts.iter().filter(|attempt| attempt["state"] == "failed").count();
        assert_eq!(seconds(&unstable_whole(&unstable)), 2 * (attempts.len() as i64 - 1));

        let mut expected = Vec::new();
        for n in 1..=failed {
            expected.push("Simulando falha na tarefa".to_owned());
            if n <= 3 {
                expected.push(format!(
                    "attempt {n} of 4 failed: Erro simulado - recurso indisponível; retry {n} of 3 in 2 s"
                ));
            }
        }
        if failed == 4 {
            expected.push("Pipeline falhou: Erro simulado - recurso indisponível".to_owned());
            assert_eq!((&unstable["state"], &run["result"]), (&json!("failed"), &Value::Null));
        } else {
            expected.push("Tarefa executada com sucesso".to_owned());
            expected.push("Processando dados recebidos: dados_processados".to_owned());
            assert_eq!(attempts.len(), failed + 1);
            assert_eq!(run["result"], "resultado_final_dados_processados");
        }
        assert_eq!(app.messages(&id).await, expected);
    }
}

/// From the first attempt to the end of the last.
fn unstable_whole(run: &Value) -> Value {
    json!({"started_at": run["attempts"][0]["started_at"], "finished_at": run["finished_at"]})
}

struct Penguins {
    app: Running,
    out: TempDir,
    run: Value,
}

async fn penguins() -> Penguins {
    let data = repository().join("examples/penguins/data");
    let scratch = tempfile::tempdir().expect("a directory");
    let app = TestApp::new().allow_dir(&data, DirMode::Ro).allow_dir(scratch.path(), DirMode::Rw);
    let app = with_example(app, "penguins").await;
    let dirs = json!([
        {"host": data, "guest": "/data", "mode": "ro"}, {"host": scratch.path(), "guest": "/out", "mode": "rw"},
    ]);
    let run = app.run_with(json!({"module": "penguins", "grants": {"dirs": dirs}})).await;
    Penguins { app, out: scratch, run }
}

#[tokio::test]
async fn penguins_reports_the_published_figures() {
    let Penguins { app, out, run } = penguins().await;
    assert_eq!(run["state"], "completed", "{run}");
    let report = &run["result"];
    let written = std::fs::read_to_string(out.path().join("report.json")).expect("the report is written");
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), *report);

    let validation = &report["validation"];
    assert_eq!(validation["n_rows"], 344);
    assert_eq!(validation["n_by_species"], json!({"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}));
    assert_eq!((&validation["n_without_measures"], &validation["n_with_gaps"]), (&json!(2), &json!(11)));
    let means = [
        ("Adelie", [38.79, 18.35, 189.95, 3700.66]),
        ("Chinstrap", [48.83, 18.42, 195.82, 3733.09]),
        ("Gentoo", [47.5, 14.98, 217.19, 5076.02]),
    ];
    for (species, means) in means {
        let measures = &report["species"][species]["measures"];
        let names = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"];
        assert_eq!(names.map(|name| measures[name]["mean"].as_f64().unwrap()), means, "{species}");
    }

    let id = text(&run["id"]);
    let names: Vec<_> = app.children(&id).await.iter().map(|child| text(&child["name"])).collect();
    let expected = [
        "extract(/data/penguins.csv)",
        "validate-2",
        "summarise(Adelie)",
        "summarise(Chinstrap)",
        "summarise(Gentoo)",
        "write(/out/report.json)",
    ];
    assert_eq!(names, expected);
    let warnings = app.get(&format!("/api/runs/{id}/logs?level=warn")).await;
    let warnings: Vec<_> = warnings["items"].as_array().unwrap().iter().map(|line| text(&line["message"])).collect();
    let expected = [
        "line 5 dropped: the Adelie penguin on Torgersen has no measure",
        "line 273 dropped: the Gentoo penguin on Biscoe has no measure",
    ];
    assert_eq!(warnings, expected);
}

#[tokio::test]
async fn penguins_without_its_directory_fails_and_says_what_to_grant() {
    let app = with_example(TestApp::new().manual_clock(), "penguins").await;
    let id = app.submit("penguins", "pipeline", json!({})).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "failed");
    let extract = app.show(&child_id(&id, 0)).await;
    assert_eq!(extract["n_attempts"], 3);
    let message = text(&extract["failure"]["message"]);
    assert!(message.contains("grant its directory: `--dir examples/penguins/data=/data:ro`"), "{message}");
}

#[tokio::test]
async fn monitoramento_tells_fast_slow_failing_and_absent_services_apart() {
    let fast = Service::saying("ok").await;
    // Each check but the third of this one fails.
    let unsteady = Service::start({
        let checks = AtomicU32::new(0);
        move |_| match checks.fetch_add(1, Ordering::Relaxed) {
            2 => Answer::Whole("200 OK", "", String::new()),
            _ => Answer::Whole("503 Service Unavailable", "", String::new()),
        }
    })
    .await;
    let failing = Service::start(|_| Answer::Whole("500 Internal Server Error", "", String::new())).await;
    let down = nobody().await;
    let hosts = [&fast.host(), &unsteady.host(), &failing.host(), &down];
    let app = hosts.iter().fold(TestApp::new(), |app, host| app.allow_http(host));
    let app = with_example(app, "monitoramento").await;
    let grants: Vec<_> = hosts.iter().map(|host| json!({"host": host})).collect();
    let patient = 1e9;
    let services = json!([
        {"name": "rápido", "url": fast.url("/"), "limit_ms": patient},
        {"name": "lento", "url": fast.url("/slow"), "limit_ms": 1e-6},
        {"name": "instável", "url": unsteady.url("/"), "limit_ms": patient},
        {"name": "com erro", "url": failing.url("/")},
        {"name": "ausente", "url": format!("http://{down}/")},
    ]);
    let run = app
        .run_with(json!({
            "module": "monitoramento", "parameters": {"services": services}, "grants": {"http": grants},
        }))
        .await;
    assert_eq!((&run["state"], &run["label"]), (&json!("completed"), &json!("alerta")), "{run}");
    let report = &run["result"];
    assert_eq!((&report["n_services"], &report["n_available"]), (&json!(5), &json!(3)), "{report}");
    assert_eq!(report["availability_percent"], 60.0);
    assert_eq!(report["services"][2]["metric"]["attempt"], 3, "{report}");
    let alerts: Vec<_> = report["alerts"].as_array().unwrap().iter().map(text).collect();
    assert!(alerts[0].starts_with("lento está lento: ") && alerts[0].ends_with(" ms, acima do limite de 0.000001 ms"));
    let expected = [
        "com erro está fora do ar: status 500".to_owned(),
        format!("ausente está fora do ar: cannot GET `http://{down}/`: connection refused"),
        "disponibilidade de 60.0%, abaixo do mínimo de 99.0%".to_owned(),
    ];
    assert_eq!(alerts[1..], expected);

    let children = app.children(&text(&run["id"])).await;
    let attempts: Vec<_> = children.iter().map(|child| (text(&child["name"]), child["n_attempts"].clone())).collect();
    let expected = [("rápido", 1), ("lento", 1), ("instável", 3), ("com erro", 3), ("ausente", 3)];
    assert_eq!(attempts, expected.map(|(name, n)| (format!("verificar({name})"), json!(n))));

    let services = json!([{"name": "rápido", "url": fast.url("/"), "limit_ms": patient}]);
    let run = app
        .run_with(json!({
            "module": "monitoramento", "parameters": {"services": services}, "grants": {"http": grants},
        }))
        .await;
    assert_eq!((&run["label"], &run["result"]["alerts"]), (&json!("ok"), &json!([])), "{run}");
}
