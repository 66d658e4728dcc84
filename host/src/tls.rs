//! How our HTTP clients speak TLS, and whom they trust.

use std::sync::Once;

use reqwest::ClientBuilder;

/// A client for plain HTTP. It trusts nobody, which spares reading the system's certificates, that may be missing, too.
pub fn plain_client() -> ClientBuilder {
    client().tls_certs_only([])
}

/// A client that trusts whom the system trusts. It cannot be built where the system has no certificates.
pub fn client() -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Who came first has chosen for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    ClientBuilder::new()
}
