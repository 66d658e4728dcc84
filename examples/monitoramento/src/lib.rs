//! The tutorial's third free option: checks services over HTTP, measures them, and raises alerts by thresholds.

use std::time::{Duration, Instant};

use tarefa_sdk::http;
use tarefa_sdk::prelude::*;

/// Who has not answered by then is down.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service to check.
#[data]
pub struct Service {
    pub name: String,
    pub url: String,
    /// A slower answer is an alert.
    #[serde(default = "default_limit_ms")]
    pub limit_ms: f64,
}

fn default_limit_ms() -> f64 {
    500.0
}

/// How a service that is up answered.
#[data]
#[derive(PartialEq)]
pub struct Metric {
    pub status: u16,
    pub latency_ms: f64,
    /// The attempt that succeeded.
    pub attempt: u32,
}

/// What was found of a service.
#[data]
#[derive(PartialEq)]
pub struct Finding {
    pub name: String,
    /// None: it is down.
    pub metric: Option<Metric>,
    pub alert: Option<String>,
}

#[data]
#[derive(PartialEq)]
pub struct Report {
    pub n_services: usize,
    pub n_available: usize,
    pub availability_percent: f64,
    pub mean_latency_ms: Option<f64>,
    pub services: Vec<Finding>,
    pub alerts: Vec<String>,
}

#[task(retries = 2, retry_delay = "200ms", run_name = "verificar({name})")]
pub fn verificar(name: String, url: String) -> Result<Metric> {
    let start = Instant::now();
    let status = http::request("GET", &url).timeout(PATIENCE).send()?.status;
    let latency_ms = start.elapsed().as_secs_f64() * 1000.0;
    match status {
        200..=399 => {
            info!("{name}: status {status} em {latency_ms:.1} ms");
            Ok(Metric { status, latency_ms, attempt: context().attempt })
        }
        // Um pedido errado continua errado.
        400..=499 => Err(TaskError::permanent(format_args!("status {status}"))),
        _ => bail!("status {status}"),
    }
}

#[flow(title = "Pipeline de Monitoramento")]
pub fn monitoramento(
    #[default(vec![Service {
        name: "tarefa".into(),
        url: "http://127.0.0.1:4200/api/health".into(),
        limit_ms: default_limit_ms(),
    }])]
    services: Vec<Service>,
    #[default(99.0)] min_availability_percent: f64,
) -> Result<Report> {
    ensure!(!services.is_empty(), "nenhum serviço para verificar");
    info!("Serviços a verificar: {}", services.len());
    let runs: Vec<_> = services.iter().map(|service| verificar::submit(&service.name, &service.url)).collect();
    let findings = services.iter().zip(&runs).map(|(service, run)| finding(service, run.wait()));
    let report = report(findings.collect::<Result<_>>()?, min_availability_percent);
    for alert in &report.alerts {
        warn!("ALERTA: {alert}");
    }
    let Report { n_available, n_services, alerts, .. } = &report;
    info!("Monitoramento finalizado. Disponíveis: {n_available} de {n_services}; alertas: {}", alerts.len());
    let label = if alerts.is_empty() { "ok" } else { "alerta" };
    Ok(complete_as(label, report))
}

fn finding(service: &Service, checked: Result<Metric>) -> Result<Finding> {
    let Service { name, limit_ms, .. } = service;
    let (metric, alert) = match checked {
        Ok(metric) if metric.latency_ms > *limit_ms => {
            let latency_ms = metric.latency_ms;
            let alert = format!("{name} está lento: {latency_ms:.1} ms, acima do limite de {limit_ms} ms");
            (Some(metric), Some(alert))
        }
        Ok(metric) => (Some(metric), None),
        // A concessão que falta não é culpa do serviço.
        Err(error) if error.kind() == "denied" => return Err(error),
        Err(error) => (None, Some(format!("{name} está fora do ar: {error}"))),
    };
    Ok(Finding { name: name.clone(), metric, alert })
}

fn report(services: Vec<Finding>, min_availability_percent: f64) -> Report {
    let latencies: Vec<_> = services.iter().flat_map(|finding| &finding.metric).map(|m| m.latency_ms).collect();
    let (n_services, n_available) = (services.len(), latencies.len());
    let availability_percent = 100.0 * n_available as f64 / n_services as f64;
    let mean_latency_ms = (n_available > 0).then(|| latencies.iter().sum::<f64>() / n_available as f64);
    let mut alerts: Vec<_> = services.iter().filter_map(|finding| finding.alert.clone()).collect();
    if availability_percent < min_availability_percent {
        let least = min_availability_percent;
        alerts.push(format!("disponibilidade de {availability_percent:.1}%, abaixo do mínimo de {least:.1}%"));
    }
    Report { n_services, n_available, availability_percent, mean_latency_ms, services, alerts }
}

export_module!(flows: [monitoramento], tasks: [verificar]);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    fn service(name: &str, limit_ms: f64) -> Service {
        Service { name: name.into(), url: format!("http://localhost:80/{name}"), limit_ms }
    }

    fn answers() {
        testing::set_http(|request| match request.url.as_str() {
            "http://localhost:80/loja" => Ok(http::Response::new(200, "")),
            "http://localhost:80/estoque" => Ok(http::Response::new(503, "")),
            _ => Err(TaskError::new("connection refused")),
        });
    }

    #[test]
    fn services_within_their_limits_are_ok() {
        answers();
        let report = monitoramento(vec![service("loja", 60_000.0)], 99.0).unwrap();
        assert_eq!((report.n_available, report.availability_percent), (1, 100.0));
        assert_eq!((report.alerts.len(), testing::label().as_deref()), (0, Some("ok")));
    }

    #[test]
    fn slow_and_failing_services_raise_alerts() {
        answers();
        let services = vec![service("loja", -1.0), service("estoque", 500.0), service("pagamento", 500.0)];
        let report = monitoramento(services, 50.0).unwrap();
        assert_eq!(report.n_available, 1);
        let starts = [
            "loja está lento: ",
            "estoque está fora do ar: status 503",
            "pagamento está fora do ar: connection refused",
        ];
        assert!(report.alerts.iter().zip(starts).all(|(alert, start)| alert.starts_with(start)), "{:?}", report.alerts);
        assert_eq!(report.alerts[3], "disponibilidade de 33.3%, abaixo do mínimo de 50.0%");
        assert_eq!(testing::label().as_deref(), Some("alerta"));
    }

    #[test]
    fn a_missing_grant_is_no_alert() {
        assert_eq!(monitoramento(vec![service("loja", 500.0)], 99.0).unwrap_err().kind(), "denied");
    }
}
