//! Client certificates: the filter believes what the connection proved, and of a forwarded one what reads in one way only.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use conformance::envoy::{Bootstrap, Client, EnvoyProcess, ListenerSpec, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
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
        self.named("", vec![name], purpose)
    }

    fn named(&self, common_name: &str, names: Vec<SanType>, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut parameters = CertificateParams::default();
        if !common_name.is_empty() {
            parameters.distinguished_name = DistinguishedName::new();
            parameters.distinguished_name.push(DnType::CommonName, common_name);
        }
        parameters.subject_alt_names = names;
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    fn client(&self, uri: &str) -> Identity {
        self.identity(SanType::URI(uri.try_into().unwrap()), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client with any names: its authority looks at none.
    fn client_of(&self, common_name: &str, uris: &[&str], dns: &[&str]) -> Identity {
        let uris = uris.iter().map(|name| SanType::URI((*name).try_into().unwrap()));
        let dns = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        self.named(common_name, uris.chain(dns).collect(), ExtendedKeyUsagePurpose::ClientAuth)
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
    send_to(world.envoy.address(0), authority, client, postback)
}

fn send_to(
    address: SocketAddr,
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
    let mut client = Client::over(StreamOwned::new(connection, TcpStream::connect(address)?));
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

#[test]
fn of_several_names_the_connection_gives_the_first_whole() {
    let authority = Authority::new();
    let world = world(&authority, true, &json!({ "certificate_uri": ["spiffe://acme/postbacks"] }));
    let (first, second) = (
        authority.client_of("", &["spiffe://acme/postbacks", "https://acme.example/"], &["acme.example"]),
        authority.client_of("", &["https://acme.example/", "spiffe://acme/postbacks"], &[]),
    );
    accepted(&send(&world, &authority, Some(&first), &event("evt_1")).unwrap(), false);
    // docs/config.md, source: the proxy's property is the first name, so this one is registered by its hash.
    let refusal = send(&world, &authority, Some(&second), &event("evt_2")).unwrap();
    refused(&refusal, 403, "certificate_not_allowed");
    for (number, name) in
        ["spiffe://acme/postbacks;DNS=x", "spiffe://acme/postbacks,x", "\"spiffe://acme/postbacks\""]
            .iter()
            .enumerate()
    {
        let hostile = authority.client_of("", &[name], &[]);
        let refusal = send(&world, &authority, Some(&hostile), &event(&format!("evt_3{number}"))).unwrap();
        refused(&refusal, 403, "certificate_not_allowed");
    }
    world.saw(&["evt_1"]);
}

/// What the outer proxy writes of a certificate, in `x-forwarded-client-cert`.
const WRITINGS: [(&str, bool); 3] =
    [("SANITIZE_SET", false), ("SANITIZE_SET", true), ("APPEND_FORWARD", false)];

/// Two proxies: the outer one ends mTLS, one listener for each of [`WRITINGS`]; ours behind it trusts what the outer one says.
struct Row {
    outer: EnvoyProcess,
    inner: World,
    authority: Authority,
}

impl Row {
    fn new(authority: Authority, pinned: &Identity) -> Self {
        let document = document(
            &json!({ "certificate_uri": ["spiffe://acme/postbacks"], "certificate_sha256": [pinned.sha256()] }),
        );
        let inner = World::with(|bootstrap| {
            let listener = &mut bootstrap.listeners[0];
            listener.configuration = Some(document.replace("127.0.0.9", "127.0.0.1"));
            listener.environment = [("sandbox_acme".to_owned(), SIGNING.to_owned())].into();
        });
        let mut bootstrap = Bootstrap::new(inner.envoy.address(0));
        let server = authority.server();
        bootstrap.listeners = WRITINGS
            .map(|(forward, certificate)| ListenerSpec {
                transport_socket: Some(socket(&authority, &server, true)),
                manager_fields: vec![
                    ("/forward_client_cert_details", json!(forward)),
                    (
                        "/set_current_client_cert_details",
                        json!({ "subject": certificate, "cert": certificate, "uri": true, "dns": true }),
                    ),
                    (
                        "/http_filters",
                        json!([{ "name": "envoy.filters.http.router", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }]),
                    ),
                    (
                        "/route_config",
                        json!({ "virtual_hosts": [{ "name": "inner", "domains": ["*"],
                            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "application" } }] }] }),
                    ),
                ],
                ..ListenerSpec::default()
            })
            .into();
        Self { outer: EnvoyProcess::start(bootstrap).unwrap(), inner, authority }
    }

    /// The answer to a client behind the outer proxy that writes like `WRITINGS[writing]`.
    fn send(&self, writing: usize, client: &Identity, postback: &Postback) -> Response {
        send_to(self.outer.address(writing), &self.authority, Some(client), postback).unwrap()
    }
}

/// A certificate as Envoy encodes it.
fn encoded(identity: &Identity) -> String {
    [("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")]
        .into_iter()
        .fold(identity.pem.clone(), |text, (from, to)| text.replace(from, to))
}

/// Clients whose names would be the name, or the hash, of another.
fn hostile(authority: &Authority, plain: &Identity, stolen: &str) -> Vec<Identity> {
    let acme = "spiffe://acme/postbacks";
    let pem = encoded(plain);
    let uris = [
        format!("spiffe://evil/x;URI={acme}"),
        format!("{acme};URI=spiffe://evil/x"),
        format!("{acme};URI={acme}"),
        format!("{acme};DNS=x"),
        format!("x,URI={acme}"),
        format!("x,By=spiffe://gate;Hash={stolen};URI={acme}"),
        format!("x,Hash={};Cert=\"{pem}\";URI={acme}", plain.sha256()),
        format!("x;Hash={stolen}"),
        format!("\"{acme}\""),
        format!("x\";URI={acme}"),
    ];
    let names = [format!("x;URI={acme}"), format!("x,URI={acme}"), format!("x;Hash={stolen}")];
    let subject = format!("x\";URI={acme};Subject=\"");
    let mut hostile: Vec<_> = uris.iter().map(|name| authority.client_of("evil", &[name], &[])).collect();
    hostile.extend(names.iter().map(|name| authority.client_of("evil", &[], &[name])));
    hostile.extend(names.iter().map(|name| authority.client_of("evil", &["spiffe://evil/x"], &[name])));
    hostile.push(authority.client_of(&subject, &["spiffe://evil/x"], &[]));
    hostile
}

#[test]
fn a_certificate_s_name_makes_no_other_behind_two_proxies() {
    let authority = Authority::new();
    let acme = "spiffe://acme/postbacks";
    let plain = authority.client(acme);
    let several =
        authority.client_of("acme", &["https://acme.example/", acme], &["acme.example", "b.example"]);
    let pinned =
        authority.client_of("pinned", &["https://acme.example/", "https://b.example/"], &["acme.example"]);
    let stolen = pinned.sha256();
    let pem = encoded(&plain);
    let hostile = hostile(&authority, &plain, &stolen);
    let row = Row::new(authority, &pinned);

    let mut expected = Vec::new();
    for (writing, with_certificate) in [(0, false), (1, true), (2, false)] {
        let id = |name: &str| format!("evt_{writing}_{name}");
        accepted(&row.send(writing, &plain, &event(&id("plain"))), false);
        accepted(&row.send(writing, &pinned, &event(&id("pinned"))), false);
        expected.extend([id("plain"), id("pinned")]);
        // An honest certificate with several names passes where the proxy shows it.
        let answer = row.send(writing, &several, &event(&id("several")));
        if with_certificate {
            accepted(&answer, false);
            expected.push(id("several"));
        } else {
            refused(&answer, 403, "certificate_not_allowed");
        }
        for (number, client) in hostile.iter().enumerate() {
            let answer = row.send(writing, client, &event(&id(&format!("hostile_{number}"))));
            refused(&answer, 403, "certificate_not_allowed");
        }
        // What the client says itself, with an open quote that a name of its certificate closes, too.
        for said in [
            format!("URI={acme}"),
            format!("Hash={stolen}"),
            format!("Hash={stolen};Subject=\"x"),
            format!("Cert=\"{pem}\""),
        ] {
            for (number, client) in hostile.iter().enumerate() {
                let postback =
                    event(&id(&format!("said_{number}"))).with("x-forwarded-client-cert", said.as_bytes());
                refused(&row.send(writing, client, &postback), 403, "certificate_not_allowed");
            }
        }
    }
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    row.inner.saw(&expected);
}
