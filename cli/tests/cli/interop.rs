//! The command line against implementations that are not ours: npm `canonicalize` and `jose`, Python's `hmac`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, built, countersign, program};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Payloads whose canonical form is not obvious: numbers, escapes, the order of names.
const PAYLOADS: [&str; 6] = [
    r#"{"b":100.00,"a":1e3,"c":-0.0,"d":0.1,"e":1e21,"f":5e-324}"#,
    r#"{"text":"A\/\u00e9\ud83d\ude00\u0001\t\"","\u20ac":1,"\ud83d\ude00":2,"\ufb33":3,"z":4}"#,
    r#"{ "nested" : { "z" : [ 1 , [ ] , { } ] , "a" : null } , "t" : true }"#,
    r#"{"9":1,"10":2,"":3,"A":4,"a":5}"#,
    "{}",
    r#"{"event":"deposit_success","amount":100.5,"currency":"EUR","city":"São Paulo","is_ftd":true}"#,
];

/// The folder in which node finds the packages.
fn packages(test: &str) -> Option<PathBuf> {
    let modules = built(test, "COUNTERSIGN_TOOLS", "tools", "npm/node_modules")?;
    Some(modules.parent()?.to_owned())
}

fn node(folder: &Path, script: &str, arguments: &[&str]) -> String {
    program(
        Command::new("node")
            .current_dir(folder)
            .args(["--input-type=module", "--eval", script, "--"])
            .args(arguments),
    )
}

#[test]
fn a_signature_is_python_s_hmac_over_node_s_canonical_form() {
    let Some(folder) = packages("a_signature_is_python_s_hmac_over_node_s_canonical_form") else { return };
    let canonicalize = "import canonicalize from 'canonicalize'; \
                        process.stdout.write(canonicalize(JSON.parse(process.argv.at(-1))))";
    let hmac = "import hmac, sys\n\
                print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), 'sha256').hexdigest())";
    for payload in PAYLOADS {
        let canonical = node(&folder, canonicalize, &[payload]);
        let digits = program(Command::new("python3").args(["-c", hmac, KEY, &canonical]));
        let printed = countersign(&["sign", "--key-env", "KEY"]).env("KEY", KEY).input(payload).stdout();
        assert_eq!(printed, format!("x-signature: sha256={digits}"), "{payload}");
        let theirs = Folder::new();
        let file = theirs.file("canonical", &canonical);
        let said = countersign(&["verify", "--expect-canonical", &file]).input(payload).run();
        assert_eq!(said.code, 0, "{payload}: {said:?}");
    }
}

/// A configuration of a partner whose tokens have this key.
fn configuration(key: &str) -> String {
    format!(
        r#"{{ "version": 1, "environment": "sandbox", "partners": {{ "acme": {{
            "signature": {{ "keys": [{{ "id": "k1", "secret": {{ "name": "sandbox_acme" }} }}] }},
            "token": {{ "issuer": "acme", "keys": [{key}] }} }} }} }}"#
    )
}

#[test]
fn jose_s_tokens_are_accepted() {
    let Some(folder) = packages("jose_s_tokens_are_accepted") else { return };
    // A key of its own for each algorithm; answers the entry of the configuration and a token.
    let script = "import * as jose from 'jose';\n\
        const [algorithm, secret] = process.argv.slice(-2);\n\
        const entry = { id: 't1', algorithm };\n\
        let key;\n\
        if (algorithm === 'HS256') { key = new TextEncoder().encode(secret); entry.secret = { name: 'sandbox_token' }; }\n\
        else {\n\
          const pair = await jose.generateKeyPair(algorithm, { extractable: true });\n\
          key = pair.privateKey; entry.public_key = await jose.exportJWK(pair.publicKey);\n\
        }\n\
        const token = await new jose.SignJWT({}).setProtectedHeader({ alg: algorithm, kid: 't1' }).setIssuer('acme')\n\
          .setAudience('countersign').setIssuedAt().setExpirationTime('5m').sign(key);\n\
        console.log(JSON.stringify(entry)); console.log(token);";
    let headers = countersign(&["sign", "--key-env", "KEY"]).env("KEY", "one secret").input("{}").stdout();
    for algorithm in ["HS256", "ES256", "EdDSA"] {
        let made = node(&folder, script, &[algorithm, KEY]);
        let (entry, token) = made.trim().split_once('\n').unwrap();
        let files = Folder::new();
        let file = files.file("countersign.json", &configuration(entry));
        let verify = |token: &str| {
            let bearer = format!("authorization: Bearer {token}");
            let arguments =
                ["verify", "--config", &file, "--partner", "acme", "-H", headers.trim(), "-H", &bearer];
            countersign(&arguments)
                .env("sandbox_acme", "one secret")
                .env("sandbox_token", KEY)
                .input("{}")
                .run()
        };
        let said = verify(token);
        assert!(said.code == 0 && said.stdout.contains("token      right, key t1"), "{algorithm}: {said:?}");
        // The header says another algorithm than the key has.
        let (_, rest) = token.split_once('.').unwrap();
        let said = verify(&format!("eyJhbGciOiJub25lIn0.{rest}"));
        assert!(said.code == 1 && said.stderr.contains("token_invalid"), "{algorithm}: {said:?}");
    }
}

#[test]
fn jose_accepts_our_tokens() {
    let Some(folder) = packages("jose_accepts_our_tokens") else { return };
    let script = "import * as jose from 'jose';\n\
        const [token, algorithm, key] = process.argv.slice(-3);\n\
        const material = algorithm === 'HS256' ? new TextEncoder().encode(key) : await jose.importJWK(JSON.parse(key), algorithm);\n\
        const options = { issuer: 'acme', audience: 'countersign', algorithms: [algorithm], maxTokenAge: '15m' };\n\
        const { payload, protectedHeader } = await jose.jwtVerify(token, material, options);\n\
        console.log(protectedHeader.kid ?? 'none', payload.exp - payload.iat);";
    let files = Folder::new();
    for (algorithm, kind) in [("HS256", None), ("ES256", Some("es256")), ("EdDSA", Some("eddsa"))] {
        // jose needs the public half only; from a private JWK it would take the key to sign with.
        let (private, public) = match kind {
            None => (KEY.to_owned(), KEY.to_owned()),
            Some(kind) => {
                let pair = countersign(&["keygen", kind, "--id", "t1"]).run();
                let entry: serde_json::Value =
                    serde_json::from_str(pair.stderr.trim().lines().last().unwrap()).unwrap();
                (pair.stdout, entry["public_key"].to_string())
            }
        };
        let file = files.file("key", &private);
        let arguments = [
            "token",
            "mint",
            "--issuer",
            "acme",
            "--ttl",
            "60",
            "--kid",
            "t1",
            "--algorithm",
            algorithm,
            "--key-file",
            &file,
        ];
        let token = countersign(&arguments).stdout();
        assert_eq!(node(&folder, script, &[token.trim(), algorithm, &public]), "t1 60\n", "{algorithm}");
    }
}
