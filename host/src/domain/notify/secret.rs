//! Secrets, which are shown to nobody.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, Serializer};
use sha2::Sha256;

use super::NotifyRule;

/// The length of a secret in bytes: shorter ones are guessed.
const MIN_SECRET: usize = 16;
const MAX_SECRET: usize = 256;
/// What stands for a secret that is not shown.
const MASK: &str = "********";
/// What the secrets of Standard Webhooks begin with; base64 follows.
const ENCODED_SECRET: &str = "whsec_";

/// A secret: it is masked wherever it is written, but where the store asks for it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct NotifySecret(pub String);

impl NotifySecret {
    /// Whether it stands for one that is kept.
    fn is_mask(&self) -> bool {
        self.0 == MASK
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_mask() {
            return Ok(());
        }
        if !(MIN_SECRET..=MAX_SECRET).contains(&self.0.len()) {
            return Err(format!("`secret` has {} bytes; it takes {MIN_SECRET} to {MAX_SECRET}", self.0.len()));
        }
        self.key().map(drop).ok_or_else(|| format!("`secret` begins with `{ENCODED_SECRET}`, but no base64 follows"))
    }

    /// The bytes that it stands for.
    fn key(&self) -> Option<Vec<u8>> {
        match self.0.strip_prefix(ENCODED_SECRET) {
            Some(encoded) => BASE64.decode(encoded).ok(),
            None => Some(self.0.as_bytes().to_vec()),
        }
    }

    /// The signature of a message that is sent at `seconds`, as Standard Webhooks has it.
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = self.key().unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for NotifySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for NotifySecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// Puts in place of each `********` the secret that the webhook of that URL `had`.
///
/// # Errors
///
/// Where it had none.
pub fn keep_secrets(rules: &mut [NotifyRule], had: &[NotifyRule]) -> Result<(), String> {
    for rule in rules {
        if !rule.secret.as_ref().is_some_and(NotifySecret::is_mask) {
            continue;
        }
        let kept = had.iter().find(|had| had.webhook == rule.webhook && had.secret.is_some());
        let Some(kept) = kept else {
            return Err(format!(
                "`{MASK}` stands for a secret that is kept, and `{}` has none: give it",
                rule.target()
            ));
        };
        rule.secret.clone_from(&kept.secret);
    }
    Ok(())
}

/// Rules as JSON with their secrets: for the store alone.
pub fn stored(rules: &[NotifyRule]) -> serde_json::Value {
    let mut json = serde_json::to_value(rules).expect("rules are plain data");
    for (place, rule) in rules.iter().enumerate() {
        if let Some(secret) = &rule.secret {
            json[place]["secret"] = secret.0.clone().into();
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::NotifyEvent;

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // The example of the specification's own libraries.
        let secret = NotifySecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_written_for_the_store_alone_and_kept_for_its_own_url() {
        let json = serde_json::json!({"on": ["failed"], "webhook": "https://a.b/c", "secret": "0123456789abcdef"});
        let had = serde_json::from_value::<NotifyRule>(json).expect("a rule");
        let shown = serde_json::to_string(&had).expect("JSON") + &format!("{had:?}");
        assert!(!shown.contains("0123456789abcdef") && shown.contains(MASK), "{shown}");
        assert_eq!(stored(std::slice::from_ref(&had))[0]["secret"], "0123456789abcdef");
        assert_eq!(had.target(), "a.b");

        let masked = NotifyRule { secret: Some(NotifySecret(MASK.to_owned())), ..had.clone() };
        let mut rules = [NotifyRule { on: vec![NotifyEvent::Late], ..masked.clone() }];
        keep_secrets(&mut rules, std::slice::from_ref(&had)).expect("it is kept");
        assert_eq!(rules[0].secret, had.secret);
        let mut elsewhere = [NotifyRule { webhook: Some("https://evil.example".to_owned()), ..masked }];
        let refused = keep_secrets(&mut elsewhere, &[had]).expect_err("it had another URL");
        assert!(refused.contains("`evil.example` has none"), "{refused}");
    }
}
