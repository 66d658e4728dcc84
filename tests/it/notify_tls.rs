//! Webhooks over `https`, from a server that reads whom to tell from its config file.
//!
//! The certificates in `tls/` were made with openssl: an authority (`req -x509`, an EC key on prime256v1, for 100 years), and
//! one for `localhost` that it signed (`x509 -req`, with `subjectAltName=DNS:localhost` and `CA:FALSE`).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, mpsc};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tarefa::domain::RunId;

use crate::app::{answer, client, repository};
use crate::process::{Process, data_dir};

fn pem(name: &str) -> std::path::PathBuf {
    repository().join("tests/it/tls").join(name)
}

/// Takes what comes over TLS, as `localhost`: its port, and the requests.
fn receiver() -> (u16, mpsc::Receiver<String>) {
    let certificates = CertificateDer::pem_file_iter(pem("cert.pem")).expect("reads").map(|read| read.expect("PEM"));
    let key = PrivateKeyDer::from_pem_file(pem("key.pem")).expect("reads");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has them")
        .with_no_client_auth()
        .with_single_cert(certificates.collect(), key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut tls = StreamOwned::new(connection, stream.expect("a client"));
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            // Who does not trust us leaves before it says anything. The body, JSON, ends the request.
            while let Ok(read @ 1..) = tls.read(&mut piece) {
                request.extend_from_slice(&piece[..read]);
                if request.ends_with(b"}") {
                    let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    let _ = sender.send(String::from_utf8_lossy(&request).into_owned());
                    break;
                }
            }
        }
    });
    (port, requests)
}

/// A server that tells the receiver, and whose system trusts whom `roots` has; the id of a run that has completed.
async fn telling(data: &Path, port: u16, roots: &Path) -> (Process, RunId) {
    let config = data.join("server.toml");
    let rule = format!("slots = 2\n[[notify]]\non = ['completed']\nwebhook = 'https://localhost:{port}/hook'\n");
    std::fs::write(&config, rule).expect("writes");
    let config = config.to_str().expect("UTF-8");
    let server = Process::serve_as(data, &["--config", config], |command| {
        command.env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
    });
    assert_eq!(server.client.health().await.expect("it answers").slots, 2);
    server.register("noop").await;
    let run = server.submit("noop", "noop", json!({})).await;
    (server, run)
}

#[tokio::test]
async fn a_receiver_that_the_system_trusts_is_told_over_tls() {
    let (port, requests) = receiver();
    let data = data_dir();
    let (_server, run) = telling(data.path(), port, &pem("ca.pem")).await;
    let request = tokio::task::spawn_blocking(move || requests.recv()).await.expect("waits").expect("it is told");
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n") && request.contains(&run.to_string()), "{request}");
}

#[tokio::test]
async fn a_receiver_that_the_system_does_not_trust_is_told_nothing() {
    let (port, requests) = receiver();
    let data = data_dir();
    // As if the system trusted somebody else: nobody has its certificate.
    let (server, _) = telling(data.path(), port, &pem("other.pem")).await;
    let url = format!("{}/api/notifications", server.client.url());
    let error = loop {
        let (_, page) = answer(client().get(&url)).await;
        if let Some(error) = page["items"][0]["error"].as_str() {
            break error.to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error, "invalid peer certificate: UnknownIssuer");
    assert!(requests.try_recv().is_err());
}
