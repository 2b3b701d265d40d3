//! Client certificates: the filter believes what the connection proved.

use std::net::TcpStream;
use std::sync::Arc;

use conformance::envoy::{Client, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::sender::{Postback, deposit};
use crate::world::{World, accepted, refused};

/// Signs everybody's certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority of a test");
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn identity(&self, name: SanType, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = vec![name];
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    fn client(&self, uri: &str) -> Identity {
        self.identity(SanType::URI(uri.try_into().unwrap()), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn server(&self) -> Identity {
        self.identity(SanType::DnsName("gate.test".try_into().unwrap()), ExtendedKeyUsagePurpose::ServerAuth)
    }
}

impl Identity {
    fn sha256(&self) -> String {
        Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The block that README.md shows, with the certificates in it.
fn socket(authority: &Authority, server: &Identity, required: bool) -> Value {
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": required,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{
                "certificate_chain": { "inline_string": server.pem },
                "private_key": { "inline_string": server.key.serialize_pem() } }],
            "validation_context": { "trusted_ca": { "inline_string": authority.0.pem() } } } } })
}

fn send(
    world: &World,
    authority: &Authority,
    client: Option<&Identity>,
    postback: &Postback,
) -> anyhow::Result<Response> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match client {
        Some(client) => {
            let key = PrivateKeyDer::try_from(client.key.serialize_der()).map_err(anyhow::Error::msg)?;
            config.with_client_auth_cert(vec![client.certificate.clone()], key)?
        }
        None => config.with_no_client_auth(),
    };
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("gate.test")?)?;
    let mut client = Client::over(StreamOwned::new(connection, TcpStream::connect(world.envoy.address(0))?));
    client.send(&postback.bytes())?;
    client.response()
}

fn document(source: &Value) -> String {
    json!({ "version": 1, "environment": "sandbox", "trusted_proxies": ["127.0.0.9"], "partners": { "acme": {
        "signature": { "keys": [{ "id": "s1", "secret": { "name": "sandbox_acme" } }] }, "source": source } } })
    .to_string()
}

fn world(authority: &Authority, required: bool, source: &Value) -> World {
    World::with(|bootstrap| {
        let listener = &mut bootstrap.listeners[0];
        listener.configuration = Some(document(source));
        listener.environment = [("sandbox_acme".to_owned(), SIGNING.to_owned())].into();
        listener.transport_socket = Some(socket(authority, &authority.server(), required));
    })
}

const SIGNING: &str = "acme-signs-with-this";

fn event(id: &str) -> Postback {
    deposit(id).signed(SIGNING).to("/postback/acme")
}

#[test]
fn the_certificate_s_uri_is_what_counts() {
    let authority = Authority::new();
    let world = world(&authority, false, &json!({ "certificate_uri": ["spiffe://acme/postbacks"] }));
    let (right, wrong) =
        (authority.client("spiffe://acme/postbacks"), authority.client("spiffe://acme/postbacks/x"));
    accepted(&send(&world, &authority, Some(&right), &event("evt_1")).unwrap(), false);
    refused(
        &send(&world, &authority, Some(&wrong), &event("evt_2")).unwrap(),
        403,
        "certificate_not_allowed",
    );
    refused(&send(&world, &authority, None, &event("evt_3")).unwrap(), 403, "certificate_not_allowed");
    // Whoever is no trusted proxy cannot speak for a certificate.
    let claims = event("evt_4").with("x-forwarded-client-cert", b"URI=spiffe://acme/postbacks");
    refused(&send(&world, &authority, None, &claims).unwrap(), 403, "certificate_not_allowed");
    world.saw(&["evt_1"]);
}

#[test]
fn the_certificate_s_hash_is_what_counts() {
    let authority = Authority::new();
    let (right, wrong) = (authority.client("spiffe://acme/a"), authority.client("spiffe://acme/a"));
    let world = world(&authority, true, &json!({ "certificate_sha256": [right.sha256()] }));
    accepted(&send(&world, &authority, Some(&right), &event("evt_1")).unwrap(), false);
    refused(
        &send(&world, &authority, Some(&wrong), &event("evt_2")).unwrap(),
        403,
        "certificate_not_allowed",
    );
    world.saw(&["evt_1"]);
}

#[test]
fn a_certificate_of_another_authority_ends_at_the_handshake() {
    let (authority, other) = (Authority::new(), Authority::new());
    let world = world(&authority, true, &json!({ "certificate_uri": ["spiffe://acme/postbacks"] }));
    let forged = other.client("spiffe://acme/postbacks");
    assert!(send(&world, &authority, Some(&forged), &event("evt_1")).is_err());
    assert!(send(&world, &authority, None, &event("evt_2")).is_err());
    accepted(
        &send(&world, &authority, Some(&authority.client("spiffe://acme/postbacks")), &event("evt_3"))
            .unwrap(),
        false,
    );
    world.saw(&["evt_3"]);
}

#[test]
fn a_trusted_proxy_speaks_for_the_certificate_that_it_saw() {
    let world = World::with(|bootstrap| {
        let listener = &mut bootstrap.listeners[0];
        listener.configuration = Some(document(&json!({ "certificate_uri": ["spiffe://acme/postbacks"] })));
        listener.environment = [("sandbox_acme".to_owned(), SIGNING.to_owned())].into();
    });
    let from = |last: u8, postback: &Postback| {
        let mut client = Client::connect(world.envoy.address(0), Some([127, 0, 0, last].into())).unwrap();
        client.send(&postback.bytes()).unwrap();
        client.response().unwrap()
    };
    let claims =
        |id| event(id).with("x-forwarded-client-cert", b"By=spiffe://gate;URI=spiffe://acme/postbacks");
    refused(&from(8, &claims("evt_1")), 403, "certificate_not_allowed");
    accepted(&from(9, &claims("evt_2")), false);
    let seen = world.canary.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("x-forwarded-client-cert"), None, "the upstream has no use for it");
}
