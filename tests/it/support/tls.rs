//! A server with TLS. Its certificate is of an authority that no machine trusts (`tests/fixtures/tls`).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

pub const CA: &str = include_str!("../../fixtures/tls/ca.pem");

const SERVER: [&str; 2] = [include_str!("../../fixtures/tls/server.pem"), include_str!("../../fixtures/tls/server.key.pem")];
const CLIENT: [&str; 2] = [include_str!("../../fixtures/tls/client.pem"), include_str!("../../fixtures/tls/client.key.pem")];

fn authority() -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(CA.as_bytes()).unwrap()).unwrap();
    Arc::new(store)
}

fn identity([certificate, key]: [&str; 2]) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// The TLS of a client that trusts the authority, up to whether it has a certificate of its own.
pub fn client() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(authority())
}

/// The TLS of a client that shows its certificate.
pub fn client_with_certificate() -> ClientConfig {
    let (chain, key) = identity(CLIENT);
    client().with_client_auth_cert(chain, key).unwrap()
}

/// Whether a server asks for a certificate.
pub enum Clients {
    Any,
    Known,
}

/// A server that answers each request with 200, and how many there were.
pub fn server(clients: &Clients) -> (SocketAddr, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Known => {
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(authority(), provider).build().unwrap())
        }
    };
    let (chain, key) = identity(SERVER);
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let taken = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let taken = Arc::clone(&taken);
            std::thread::spawn(move || {
                while super::http::take_request(&mut stream) {
                    taken.fetch_add(1, Ordering::Relaxed);
                    std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
                }
            });
        }
    });
    (address, count)
}
