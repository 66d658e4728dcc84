//! The graph of a flow: who depends on whom, found without the author's help.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, example, text};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The edges of a flow run as `from -> to kind`, by the places of the children.
async fn edges(app: &Running, id: &str) -> Vec<String> {
    let graph = app.get(&format!("/api/runs/{id}/graph")).await;
    assert_eq!(graph["truncated"], false, "{graph}");
    let children = app.children(id).await;
    let nodes: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
    assert_eq!(
        nodes,
        children.iter().map(|child| child["id"].clone()).collect::<Vec<_>>(),
        "the nodes are the children"
    );
    let place = |id: &Value| nodes.iter().position(|node| node == id).expect("an edge is between nodes");
    let mut edges: Vec<_> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (place(&edge["from"]), place(&edge["to"]), text(&edge["kind"])))
        .collect();
    edges.sort();
    edges.iter().map(|(from, to, kind)| format!("{from} -> {to} {kind}")).collect()
}

/// What lies between the tasks of every flow of the tutorial.
#[tokio::test]
async fn the_flows_of_the_tutorial_have_the_graphs_that_their_code_says() {
    let app = TestApp::new().manual_clock().start().await;
    let table = [
        ("primeiro_flow", "flow_hello", vec![]),
        // One after the other, without data between them.
        ("flow_processamento", "flow_processamento_dummy", vec!["0 -> 1 order"]),
        ("flow_paralelo", "flow_processamento_paralelo", vec![]),
        ("flow_dependencias", "pipeline_etl_vendas", vec!["0 -> 1 data", "1 -> 2 data", "2 -> 3 data"]),
        ("pipeline_vendas", "pipeline_etl_completo", vec!["0 -> 1 data", "1 -> 2 data", "2 -> 3 data", "3 -> 4 data"]),
        ("flow_para_agendar", "pipeline_diario", vec![]),
    ];
    for (module, entry, expected) in table {
        let (status, body) = app.try_register(module, example(module)).await;
        assert!(status.is_success(), "{body}");
        let id = app.submit(module, entry, json!({})).await;
        let run = app.advance_until_final(&id, MINUTE).await;
        assert_eq!(run["state"], "completed", "{run}");
        assert_eq!(edges(&app, &id).await, expected, "{module}");
    }
}

/// It looks for new data, and goes on only where there are some: the clock decides.
#[tokio::test]
async fn what_the_result_of_a_task_decided_is_an_edge_of_order() {
    let app = TestApp::new().manual_clock().start().await;
    app.try_register("pipeline_incremental", example("pipeline_incremental")).await;
    let mut seen = [false, false];
    for _ in 0..10 {
        let id = app.submit("pipeline_incremental", "pipeline_incremental_agendado", json!({})).await;
        let run = app.advance_until_final(&id, MINUTE).await;
        let expected = match text(&run["label"]).as_str() {
            "processado" => vec!["0 -> 1 order", "1 -> 2 order"],
            label => {
                assert_eq!(label, "pulado", "{run}");
                vec![]
            }
        };
        assert_eq!(edges(&app, &id).await, expected);
        seen[usize::from(expected.is_empty())] = true;
        app.advance(SignedDuration::from_secs(2));
    }
    assert_eq!(seen, [true, true], "there were new data at one time, and none at another");
}

#[tokio::test]
async fn flow_erros_depends_on_what_the_unstable_task_returned() {
    let app = TestApp::new().manual_clock().start().await;
    app.try_register("flow_erros", example("flow_erros")).await;
    let id = loop {
        let id = app.submit("flow_erros", "pipeline_com_erros", json!({})).await;
        let run = app.advance_until_final(&id, MINUTE).await;
        if !run["result"].is_null() {
            break id;
        }
    };
    assert_eq!(edges(&app, &id).await, ["0 -> 1 data"]);
}

#[tokio::test]
async fn runs_as_arguments_and_runs_to_wait_for_are_edges() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("edges").await;
    let table = [
        ("diamond", vec!["0 -> 1 data", "0 -> 2 data", "1 -> 3 data", "2 -> 3 data"]),
        ("upstream_failure", vec!["0 -> 1 data", "0 -> 3 order", "1 -> 2 data"]),
        ("waits_for", vec!["0 -> 3 order", "1 -> 3 order", "2 -> 3 order"]),
        // The value 1 says nothing by itself; that the flow had it before it went on does.
        ("by_value", vec!["0 -> 1 order"]),
        ("latest", vec!["0 -> 2 order", "1 -> 2 data"]),
        ("gathered", vec!["0 -> 2 order", "1 -> 2 order", "2 -> 3 data"]),
    ];
    for (entry, expected) in table {
        let id = app.submit("edges", entry, json!({})).await;
        app.advance_until_final(&id, MINUTE).await;
        assert_eq!(edges(&app, &id).await, expected, "{entry}");
    }
}

#[tokio::test]
async fn a_graph_shows_the_first_of_many_children_and_says_so() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let run = app.run("noop", "sequential", json!({"n": 1200})).await;
    let id = text(&run["id"]);
    for (query, nodes) in [("", 500), ("?limit=3", 3), ("?limit=1000", 1000)] {
        let graph = app.get(&format!("/api/runs/{id}/graph{query}")).await;
        let count = |name: &str| graph[name].as_array().unwrap().len();
        assert_eq!((count("nodes"), count("edges"), &graph["truncated"]), (nodes, nodes - 1, &json!(true)));
    }
    let (status, _) = app.try_get(&format!("/api/runs/{id}/graph?limit=1001")).await;
    assert_eq!(status, 400);
    let all = app.run("noop", "sequential", json!({"n": 3})).await;
    let graph = app.get(&format!("/api/runs/{}/graph", text(&all["id"]))).await;
    assert_eq!(graph["truncated"], false);
    let node = &graph["nodes"][0];
    assert_eq!((&node["state"], &node["seq"], &node["entry"]), (&json!("completed"), &json!(0), &json!("noop")));
    let (status, _) = app.try_get("/api/runs/0198f2a0-1234-7abc-8def-0123456789ab/graph").await;
    assert_eq!(status, 404);
}
