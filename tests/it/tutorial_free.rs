//! The free section of the tutorial for real: every figure is held to a count of the test's own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tarefa::domain::DirMode;
use tempfile::TempDir;

use crate::app::{Running, TestApp, child_id, repository, text};
use crate::examples::with_example;

const LINES: usize = 100_000;

/// What the test counts in a log, line by line, in its own way.
#[derive(Default)]
struct Count {
    lines: u64,
    malformed: Vec<u64>,
    bytes: u64,
    errors: u64,
    by_status: BTreeMap<String, u64>,
    by_path: BTreeMap<String, u64>,
    /// Requests and errors.
    by_hour: BTreeMap<u64, (u64, u64)>,
}

/// Hour, path, status and bytes of a line that is as it should be: ten words, of which six may vary.
fn request(line: &str) -> Option<(u64, &str, u64, u64)> {
    let words: Vec<_> = line.split(' ').collect();
    let [address, "-", "-", date, "+0000]", method, target, "HTTP/1.1\"", status, bytes] = words[..] else {
        return None;
    };
    address.parse::<Ipv4Addr>().ok()?;
    ["\"GET", "\"POST"].contains(&method).then_some(())?;
    let hour = date.strip_prefix("[01/Jan/2026:")?.get(..2)?.parse().ok()?;
    let bytes = if bytes == "-" { 0 } else { bytes.parse().ok()? };
    Some((hour, target.split('?').next()?, status.parse().ok()?, bytes))
}

fn count(log: &[u8]) -> Count {
    let mut count = Count::default();
    for line in log.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n') {
        count.lines += 1;
        let Some((hour, path, status, bytes)) = str::from_utf8(line).ok().and_then(request) else {
            count.malformed.push(count.lines);
            continue;
        };
        let error = u64::from(status >= 500);
        count.bytes += bytes;
        count.errors += error;
        *count.by_status.entry(status.to_string()).or_default() += 1;
        *count.by_path.entry(path.to_owned()).or_default() += 1;
        let hour = count.by_hour.entry(hour).or_default();
        *hour = (hour.0 + 1, hour.1 + error);
    }
    count
}

async fn analyse(parameters: Value) -> (Running, TempDir, Value) {
    let logs = tempfile::tempdir().expect("a directory");
    let app = with_example(TestApp::new().allow_dir(logs.path(), DirMode::Rw), "analise_logs").await;
    let dirs = json!([{"host": logs.path(), "guest": "/logs", "mode": "rw"}]);
    let body = json!({"module": "analise_logs", "parameters": parameters, "grants": {"dirs": dirs}});
    let run = app.run_with(body).await;
    assert_eq!(run["state"], "completed", "{run}");
    (app, logs, run)
}

#[tokio::test]
async fn analise_logs_finds_what_is_in_its_log() {
    let (app, logs, run) = analyse(json!({})).await;
    let report = &run["result"];
    let count = count(&std::fs::read(logs.path().join("access.log")).expect("the log is written"));
    let valid = count.lines - count.malformed.len() as u64;

    assert_eq!((count.lines, count.malformed.len()), (LINES as u64, LINES / 100));
    assert_eq!(report["linhas"], json!(count.lines));
    assert_eq!(report["validas"], json!(valid));
    assert_eq!(report["malformadas"], json!(count.malformed.len()));
    let reasons = report["motivos"].as_object().unwrap();
    assert_eq!(reasons.values().filter_map(Value::as_u64).sum::<u64>(), count.malformed.len() as u64);
    assert_eq!(reasons.len(), 6, "each way to break a line has its reason: {reasons:?}");
    let examples = report["exemplos"].as_array().unwrap();
    assert_eq!(examples.iter().map(|one| one["linha"].as_u64().unwrap()).collect::<Vec<_>>(), count.malformed[..5]);
    assert_eq!(report["bytes"], json!(count.bytes));
    assert_eq!(report["por_status"], json!(count.by_status));
    assert_eq!(report["taxa_erros"], json!(count.errors as f64 / valid as f64));

    let mut paths: Vec<_> = count.by_path.into_iter().collect();
    paths.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let top: Vec<_> = paths[..10].iter().map(|(path, n)| json!({"caminho": path, "pedidos": n})).collect();
    assert_eq!(report["mais_pedidos"], json!(top));

    let rates = count.by_hour.iter().map(|(hour, (requests, errors))| (hour, *errors as f64 / *requests as f64));
    let expected: Vec<_> = rates
        .filter(|(_, rate)| *rate > 0.05)
        .map(|(hour, rate)| json!({"regra": format!("erros entre {hour}h e {}h", hour + 1), "valor": rate, "limiar": 0.05}))
        .collect();
    assert_eq!((count.by_hour.len(), expected.len()), (24, 1), "one hour of the day has an incident");
    assert_eq!((&report["alertas"], &run["label"]), (&json!(expected), &json!("alerta")));

    let id = text(&run["id"]);
    let children = app.children(&id).await;
    let names: Vec<_> = children.iter().map(|child| text(&child["name"])).collect();
    assert_eq!((names.len(), names[0].as_str()), (10, "gerar_log(100000 linhas)"));
    assert!(names[1].starts_with("analisar_pedaco(0 a ") && names[9] == "consolidar-10", "{names:?}");
    let alerts = app.get(&format!("/api/runs/{id}/logs?level=error")).await;
    let alert = text(&alerts["items"][0]["message"]);
    assert!(alert.starts_with("ALERTA: erros entre 14h e 15h: ") && alert.ends_with("% (limiar de 5.00%)"), "{alert}");
}

#[tokio::test]
async fn analise_logs_of_a_quiet_day_ends_as_normal() {
    let (_app, _logs, run) = analyse(json!({"linhas": 5_000, "semente": 7, "erros_max": 0.9})).await;
    assert_eq!((&run["label"], &run["result"]["alertas"]), (&json!("normal"), &json!([])));
    assert_eq!((&run["result"]["linhas"], &run["result"]["malformadas"]), (&json!(5_000), &json!(50)));
}

async fn train(parameters: Value) -> (Running, Value) {
    let data = repository().join("examples/penguins/data");
    let app = with_example(TestApp::new().allow_dir(&data, DirMode::Ro), "treino_penguins").await;
    let dirs = json!([{"host": data, "guest": "/data", "mode": "ro"}]);
    let body = json!({"module": "treino_penguins", "parameters": parameters, "grants": {"dirs": dirs}});
    let run = app.run_with(body).await;
    assert_eq!(run["state"], "completed", "{run}");
    (app, run)
}

#[tokio::test]
async fn treino_penguins_tells_species_apart_that_it_never_saw() {
    let (app, run) = train(json!({})).await;
    let result = &run["result"];
    assert!(result["acuracia"].as_f64().unwrap() >= 0.95, "{result}");
    assert_eq!((&run["label"], &result["n_teste"]), (&json!("aprovado"), &json!(86)));

    // The share of the diagonal, over all penguins of the test.
    let (mut right, mut all) = (0, 0);
    for (species, guesses) in result["confusao"].as_object().unwrap() {
        right += guesses[species].as_u64().unwrap_or(0);
        all += guesses.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    }
    assert_eq!((all, json!(right as f64 / all as f64)), (86, result["acuracia"].clone()));

    let id = text(&run["id"]);
    let names: Vec<_> = app.children(&id).await.iter().map(|child| text(&child["name"])).collect();
    let trained = ["treinar_modelo(l2=0.0)", "treinar_modelo(l2=0.001)", "treinar_modelo(l2=0.01)"];
    assert_eq!(names[..2], ["carregar_dados(/data/penguins.csv)", "dividir_dados-2"]);
    assert_eq!(names[2..5], trained);
    let split = app.messages(&child_id(&id, 1)).await;
    assert_eq!(split, ["205 amostras para o treino, 51 para a validação, 86 para o teste"]);
}

#[tokio::test]
async fn treino_penguins_learns_nothing_from_shuffled_species() {
    let (_app, run) = train(json!({"embaralhar": true})).await;
    assert!(run["result"]["acuracia"].as_f64().unwrap() < 0.6, "{run}");
    assert_eq!(run["label"], "reprovado");
}
