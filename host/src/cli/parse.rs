//! How values are written on the command line.

use std::path::Path;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::app::AllowedDir;
use crate::domain::{DirGrant, DirMode, HttpGrant};

/// `64MiB`, `1.5 GB`, `4096`: a size in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 11] = [
        ("", 1),
        ("b", 1),
        ("k", 1 << 10),
        ("kib", 1 << 10),
        ("kb", 1000),
        ("m", 1 << 20),
        ("mib", 1 << 20),
        ("mb", 1_000_000),
        ("g", 1 << 30),
        ("gib", 1 << 30),
        ("gb", 1_000_000_000),
    ];
    scaled(text, &UNITS).ok_or_else(|| format!("`{text}` is no size: write it as `64MiB`, `1GiB` or a number of bytes"))
}

/// `5000000`, `5_000_000`, `5M`: a count.
pub(super) fn count(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("", 1), ("k", 1000), ("m", 1_000_000), ("g", 1_000_000_000)];
    scaled(text, &UNITS).ok_or_else(|| format!("`{text}` is no count: write it as `5000000`, `5_000_000` or `5M`"))
}

/// A number, maybe with a fraction, times its unit, whose case does not count.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
    let split = text.find(|c| !digits(c)).unwrap_or(text.len());
    let number = text[..split].replace('_', "");
    let unit = text[split..].trim().to_ascii_lowercase();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    (value.fract() == 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

/// `30s`, `2 min`, `1h30m`: a duration in milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<u64, String> {
    let duration: Option<SignedDuration> = text.trim().parse().ok();
    duration
        .and_then(|duration| u64::try_from(duration.as_millis()).ok())
        .ok_or_else(|| format!("`{text}` is no duration: write it as `500ms`, `30s`, `2min` or `1h30m`"))
}

/// `2026-01-02T03:04:05Z`, or `2h` for two hours ago: a point in time.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    moment_before(text, Timestamp::now())
}

fn moment_before(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let ago = |span: Span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok().filter(|ago| !ago.is_negative());
    let before = |text: &str| text.parse().ok().and_then(ago).and_then(|ago| now.checked_sub(ago).ok());
    text.parse().ok().or_else(|| before(text.trim())).ok_or_else(|| {
        format!("`{text}` is no time: write it as `2026-01-02T03:04:05Z`, or as `30min`, `2h` or `1d` for so long ago")
    })
}

/// `HOST=GUEST[:ro|:rw]`: a directory of the host and where the guest sees it. The host's path is made absolute.
pub(super) fn dir(text: &str) -> Result<DirGrant, String> {
    // A guest's path starts with a slash, so the last `=/` separates, whatever the host's path has in it.
    let Some(split) = text.rfind("=/") else {
        return Err(format!("`{text}` is no grant: write it as `HOST=/GUEST`, `HOST=/GUEST:ro` or `HOST=/GUEST:rw`"));
    };
    let (guest, mode) = mode(&text[split + 1..])?;
    Ok(DirGrant { host: absolute(&text[..split])?, guest: guest.to_owned(), mode })
}

/// `PATH[:ro|:rw]`: a directory that may be granted, with the most that may be granted.
pub(super) fn allowed_dir(text: &str) -> Result<AllowedDir, String> {
    let (path, mode) = mode(text)?;
    Ok(AllowedDir { path: absolute(path)?.into(), mode })
}

/// `HOST:PORT`: what a run's tasks may send requests to, with any method.
pub(super) fn http(text: &str) -> Result<HttpGrant, String> {
    HttpGrant { host: text.to_owned(), methods: None }.normalised()
}

/// A collector's URL. An empty one is none, as OpenTelemetry has it for its environment variable.
pub(super) fn collector(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no collector: write it as `http://HOST:4318`; there is no `https` yet"))
}

fn mode(text: &str) -> Result<(&str, DirMode), String> {
    match text.rsplit_once(':') {
        Some((path, "ro")) => Ok((path, DirMode::Ro)),
        Some((path, "rw")) => Ok((path, DirMode::Rw)),
        Some((_, mode)) if !mode.contains('/') => Err(format!("unknown mode `{mode}` in `{text}`: it is `ro` or `rw`")),
        _ => Ok((text, DirMode::Ro)),
    }
}

/// The path without links, so that what is granted is what stands there now.
pub(super) fn absolute(path: &str) -> Result<String, String> {
    let found =
        Path::new(path).canonicalize().map_err(|error| format!("cannot grant the directory `{path}`: {error}"))?;
    if !found.is_dir() {
        return Err(format!("cannot grant `{path}`: it is no directory"));
    }
    found.into_os_string().into_string().map_err(|_| format!("cannot grant `{path}`: its path is not UTF-8"))
}

/// One of the words that the API has for a value.
pub(super) fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no parameter: write it as `NAME=VALUE`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_counts_and_durations() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1.5 kib"), Ok(1536));
        assert_eq!(size("2MB"), Ok(2_000_000));
        assert_eq!(count("5_000_000"), Ok(5_000_000));
        assert_eq!(count("1.5M"), Ok(1_500_000));
        assert_eq!(milliseconds("1h30m"), Ok(5_400_000));
        assert_eq!(milliseconds("250ms"), Ok(250));
        for bad in ["", "MiB", "-1", "1 tonne", "0.3", "99999999999GiB", "."] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "30", "-3s", "soon"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_rfc_3339_or_so_long_ago() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let now = at("2026-03-10T12:00:00Z");
        for (text, expected) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.5-03:00", "2026-01-02T06:04:05.5Z"),
            ("2h", "2026-03-10T10:00:00Z"),
            (" 1d 30 min ", "2026-03-09T11:30:00Z"),
            ("2w", "2026-02-24T12:00:00Z"),
            ("0s", "2026-03-10T12:00:00Z"),
        ] {
            assert_eq!(moment_before(text, now), Ok(at(expected)), "{text}");
        }
        for bad in ["", "2", "yesterday", "-2h", "2h ago", "2026-01-02", "1 month", "99999 years"] {
            assert!(moment_before(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grant_has_a_host_path_a_guest_path_and_a_mode() {
        let scratch = tempfile::tempdir().expect("a directory");
        let odd = scratch.path().join("a=b:c");
        std::fs::create_dir(&odd).expect("a directory");
        let odd = odd.canonicalize().expect("it is there");
        let odd = odd.to_str().expect("UTF-8");
        let grant = |mode| DirGrant { host: odd.to_owned(), guest: "/data".to_owned(), mode };
        assert_eq!(dir(&format!("{odd}=/data")), Ok(grant(DirMode::Ro)));
        assert_eq!(dir(&format!("{odd}=/data:ro")), Ok(grant(DirMode::Ro)));
        assert_eq!(dir(&format!("{odd}=/data:rw")), Ok(grant(DirMode::Rw)));
        assert!(Path::new(&dir("src=/data").expect("cargo runs tests in the package's folder").host).is_absolute());
        let refused = |text: &str| dir(text).expect_err(text);
        assert!(refused("src").contains("HOST=/GUEST"));
        assert!(refused("src=/data:rx").contains("unknown mode `rx`"));
        assert!(refused("nowhere=/data").contains("cannot grant the directory `nowhere`"));
        assert!(refused("Cargo.toml=/data").contains("no directory"));
    }

    #[test]
    fn a_parameter_is_split_at_its_first_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
