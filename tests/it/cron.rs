//! `tarefa cron`: an expression explained, without a server.

use std::process::{Command, Output};

use serde_json::{Value, json};

fn cron(arguments: &[&str]) -> Output {
    let scratch = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_tarefa"))
        .arg("cron")
        .args(arguments)
        .current_dir(scratch.path())
        .env("XDG_DATA_HOME", scratch.path())
        .env("NO_COLOR", "1")
        .env_remove("TAREFA_DATA_DIR")
        .env_remove("TAREFA_API_URL")
        .output()
        .expect("the binary starts");
    assert_eq!(scratch.path().read_dir().expect("reads").count(), 0, "it writes nothing");
    output
}

fn says(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn an_expression_is_explained_with_its_next_occurrences() {
    let output = cron(&["0 9-18 * * 1-5", "--timezone", "Asia/Tokyo", "-n", "3"]);
    let shown = says(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output.stderr));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "every hour from 09:00 to 18:00, Monday to Friday (Asia/Tokyo)");
    assert!(lines.contains(&"hour          9-18   hours 9 to 18"), "{shown}");
    assert!(lines.contains(&"day of week   1-5    Monday to Friday"), "{shown}");
    let next: Vec<&&str> = lines.iter().filter(|line| line.contains(":00 JST  ")).collect();
    assert_eq!(next.len(), 3, "{shown}");
}

#[test]
fn five_arguments_are_an_expression_too() {
    let output = cron(&["30", "2", "*", "*", "sun", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(shown["cron"], "30 2 * * sun");
    assert_eq!(shown["description"], "at 02:30 on Sundays (UTC)");
    assert_eq!(shown["fields"][4], json!({"name": "day of week", "text": "sun", "meaning": "Sunday"}));
    let next = shown["next"].as_array().expect("a list");
    assert_eq!(next.len(), 5);
    assert!(next.iter().all(|next| next["at"].as_str().is_some_and(|at| at.ends_with("T02:30:00Z"))), "{shown}");
}

#[test]
fn what_is_no_expression_or_no_zone_is_refused() {
    for (arguments, why) in [
        (&["61 * * * *"][..], "invalid cron expression `61 * * * *`: minute 61 is out of range 0..59\n"),
        (
            &["0", "9", "a.txt", "b.txt", "*"],
            "; put it in quotes, or the shell replaces each `*` with the names of files\n",
        ),
        (&["@daily", "-z", "Lisbon"], "unknown time zone `Lisbon`; did you mean `Europe/Lisbon`?\n"),
        (&["@daily", "-n", "1001"], "1001 is not in 0..=1000"),
    ] {
        let output = cron(arguments);
        assert_eq!((output.status.code(), says(&output.stdout).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(says(&output.stderr).contains(why), "{}", says(&output.stderr));
    }
}
