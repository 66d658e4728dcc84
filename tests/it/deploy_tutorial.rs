//! The deployments of the tutorial run as often as it says.

use std::process::Stdio;

use jiff::SignedDuration;
use serde_json::json;

use crate::app::{Running, TestApp, repository, text, time};

/// Deploys a file of the examples, as the tutorial has it.
async fn deploy_example(app: &Running, file: &str) {
    let file = repository().join("examples").join(file);
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| repository().join("target").into());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tarefa"));
    command.args(["deploy", "--api-url", &app.url, "-f"]).arg(file).stdin(Stdio::null());
    // What is built there already is not built again.
    command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary starts")).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_tutorials_deploy_scripts_run_as_often_as_they_say_in_ten_minutes() {
    let app = TestApp::new().manual_clock().start().await;
    let start = app.server().app.clock.now();
    for script in ["deploy_pipeline", "deploy_cron", "deploy_multiplos", "deploy_personalizado"] {
        deploy_example(&app, &format!("flow_para_agendar/{script}.toml")).await;
    }
    deploy_example(&app, "pipeline_incremental/deploy_incremental.toml").await;
    let end = start + SignedDuration::from_mins(10);
    let next = async || time(&app.get("/api/upcoming?limit=1").await["items"][0]["at"]);
    loop {
        let at = next().await;
        if at > end {
            break;
        }
        let now = app.server().app.clock.now();
        app.advance(at.duration_since(now).max(SignedDuration::ZERO));
        while next().await == at {
            tokio::task::yield_now().await;
        }
        // While one run sleeps the clock goes on, and may bring others.
        loop {
            let unfinished = app.get("/api/runs?root=true&state=scheduled,running&limit=1").await;
            let Some(run) = unfinished["items"].as_array().unwrap().first() else { break };
            let run = app.advance_until_final(&text(&run["id"]), SignedDuration::from_secs(5)).await;
            assert_eq!(run["state"], "completed", "{run}");
        }
    }
    let expected = [
        ("pipeline-demo-comercial", 10, "Demo do pipeline comercial"),
        ("pipeline-diario-30s", 20, "Pipeline que executa a cada 30 segundos"),
        ("pipeline-diario-cron", 5, "Pipeline agendado via expressão cron"),
        ("pipeline-horario-comercial", 0, "Pipeline executado apenas em horário comercial"),
        ("pipeline-incremental-automatico", 13, "Pipeline que verifica e processa dados incrementais automaticamente"),
        ("pipeline-lento", 3, "Execução mais espaçada"),
        ("pipeline-rapido", 13, "Execução rápida para testes"),
    ];
    let stats = app.get("/api/stats?by=deployment").await;
    let deployments = app.get("/api/deployments").await;
    let deployments = deployments["items"].as_array().unwrap();
    assert_eq!(deployments.len(), expected.len());
    for (deployment, (name, runs, description)) in deployments.iter().zip(expected) {
        let counted = stats["items"].as_array().unwrap().iter().find(|item| item["key"] == name);
        let counted = counted.map_or(0, |item| item["total"].as_u64().unwrap());
        assert_eq!((&deployment["name"], counted), (&json!(name), runs));
        assert_eq!((&deployment["description"], &deployment["n_skipped"]), (&json!(description), &json!(0)));
    }
    let labels = app.get("/api/stats?by=label").await;
    let labels: Vec<_> = labels["items"].as_array().unwrap().iter().filter(|item| item["key"] != "").collect();
    assert!(labels.iter().all(|item| item["key"] == "processado" || item["key"] == "pulado"), "{labels:?}");
    assert_eq!(labels.iter().map(|item| item["total"].as_u64().unwrap()).sum::<u64>(), 13, "{labels:?}");
}
