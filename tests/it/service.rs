//! A service on loopback for what talks HTTP to others: a few lines by hand, so that it can also misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Such as `GET /path HTTP/1.1`.
    pub line: String,
    /// All of them, in lower case.
    pub headers: String,
    pub body: Vec<u8>,
}

/// What the service does about a request.
pub enum Answer {
    /// Status with reason, further headers each ending with `\r\n`, and the body.
    Whole(&'static str, &'static str, String),
    /// These bytes, whatever they are.
    Raw(String),
    /// Nothing, until the client goes away.
    Nothing,
    /// Headers, and a body without end.
    Endless,
}

/// Runs until it is dropped.
pub struct Service {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    counts: watch::Receiver<Counts>,
    serving: JoinHandle<()>,
}

/// So far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub received: usize,
    /// Clients that left while `Nothing` or `Endless` was for them.
    pub left: usize,
}

impl Service {
    pub async fn start(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counted, counts) = watch::channel(Counts::default());
        let (answer, log) = (Arc::new(answer), received.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accepts");
                let (answer, log, counted) = (answer.clone(), log.clone(), counted.clone());
                tokio::spawn(async move {
                    let Some(request) = receive(&mut stream).await else { return };
                    let answer = answer(&request);
                    log.lock().expect("nobody panicked").push(request);
                    counted.send_modify(|counts| counts.received += 1);
                    if send(&mut stream, answer).await {
                        counted.send_modify(|counts| counts.left += 1);
                    }
                });
            }
        });
        Service { address, received, counts, serving }
    }

    /// Answers all with `200` and this body.
    pub async fn saying(body: &'static str) -> Service {
        Service::start(move |_| Answer::Whole("200 OK", "", body.to_owned())).await
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("nobody panicked").clone()
    }

    /// Waits until so much has happened.
    pub async fn until(&self, condition: impl FnMut(&Counts) -> bool) {
        let patience = std::time::Duration::from_secs(120);
        let mut counts = self.counts.clone();
        let happened = tokio::time::timeout(patience, counts.wait_for(condition)).await;
        happened.expect("it happens").expect("the service runs");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An address where nothing listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// None where the client leaves before its request is whole.
async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).expect("headers are text");
    let (line, headers) = head.split_once("\r\n").expect("a request has a line");
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|header| header.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { line: line.to_owned(), headers, body })
}

/// Whether the client left before the end.
async fn send(stream: &mut TcpStream, answer: Answer) -> bool {
    match answer {
        Answer::Whole(status, headers, body) => {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.is_err()
        }
        Answer::Raw(bytes) => stream.write_all(bytes.as_bytes()).await.is_err(),
        Answer::Nothing => matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)),
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            let mut written = stream.write_all(head.as_bytes()).await;
            let piece = vec![b'x'; 64 << 10];
            while written.is_ok() {
                written = stream.write_all(&piece).await;
            }
            true
        }
    }
}
