//! `countersign sign`.

use crate::support::{DEPOSIT, DEPOSIT_CANONICAL, Folder, countersign};

/// HMAC-SHA256 of [`DEPOSIT_CANONICAL`] with the key `0123456789abcdef0123456789abcdef`, by Python's hmac.
const JCS: &str = "x-signature: sha256=b675f156b7affbdc29afc622f45c923dd8a7e9fc619aeb291b23ee217d22d32a\n";
const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn jcs_signs_the_canonical_payload_in_a_header() {
    let sign =
        |payload: &str| countersign(&["sign", "--key-env", "KEY"]).env("KEY", KEY).input(payload).stdout();
    assert_eq!(sign(DEPOSIT), JCS);
    assert_eq!(sign(DEPOSIT_CANONICAL), JCS);
}

#[test]
fn a_key_file_may_end_with_a_line_break() {
    let folder = Folder::new();
    let payload = folder.file("payload.json", DEPOSIT);
    for text in [KEY.to_owned(), format!("{KEY}\n"), format!("{KEY}\r\n")] {
        let key = folder.file("key", &text);
        assert_eq!(countersign(&["sign", "--key-file", &key, &payload]).stdout(), JCS);
    }
    let key = folder.file("key", &format!("{KEY}\n\n"));
    let said = countersign(&["sign", "--key-file", &key, &payload]).run();
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("white space"), "{}", said.stderr);
}

#[test]
fn a_signature_in_the_body_is_a_member_of_what_is_printed() {
    let arguments = ["sign", "--key-env", "KEY", "--in", "body", "--name", "sig"];
    let body = countersign(&arguments).env("KEY", KEY).input(DEPOSIT).stdout();
    let expected = DEPOSIT_CANONICAL.replace("\"}", &format!("\",\"sig\":\"{}\"}}\n", JCS[13..].trim()));
    assert_eq!(body, expected);
    // Signing it again replaces the member.
    let again = countersign(&arguments).env("KEY", KEY).input(&body).stdout();
    assert_eq!(again, body);
}

#[test]
fn standard_webhooks_has_three_headers() {
    // From the published test vectors of the specification's libraries.
    let payload = r#"{"test": 2432232314}"#;
    let arguments = [
        "sign",
        "--key-env",
        "KEY",
        "--scheme",
        "standard-webhooks",
        "--webhook-id",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "--at",
        "2021-02-25T15:02:10Z",
    ];
    let headers =
        countersign(&arguments).env("KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").input(payload).stdout();
    let expected = "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n\
                    webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n";
    assert_eq!(headers, expected);
}

#[test]
fn a_curl_is_what_a_shell_takes() {
    let payload = DEPOSIT.replace("u_456", "it's; $(exit 7) `x` \\\\");
    let url = "http://127.0.0.1:3000/postback/acme?a=1&b=2";
    let curl =
        countersign(&["sign", "--key-env", "KEY", "--curl", url]).env("KEY", KEY).input(&payload).stdout();
    assert!(!curl.contains(KEY), "{curl}");
    // A shell with a function in curl's place prints the arguments that curl would get.
    let script = format!("curl() {{ for argument; do printf '%s\\0' \"$argument\"; done; }}\n{curl}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let arguments = String::from_utf8(output.stdout).unwrap();
    let arguments: Vec<&str> = arguments.split_terminator('\0').collect();
    assert!(arguments.contains(&url), "{arguments:?}");
    assert_eq!(arguments.last(), Some(&payload.as_str()));
}

#[test]
fn what_is_no_strict_json_is_not_signed() {
    for (payload, expected) in [
        (r#"{"a":1,"a":2}"#, "at byte 7"),
        (r#"{"a":"#, "at byte 5"),
        ("[1]", "no JSON object"),
        ("", "at byte 0"),
    ] {
        let said = countersign(&["sign", "--sandbox"]).input(payload).run();
        assert_eq!(said.code, 1, "{payload}: {said:?}");
        assert!(
            said.stderr.contains("payload_malformed") && said.stderr.contains(expected),
            "{payload}: {said:?}"
        );
        assert_eq!(said.stdout, "");
    }
}

#[test]
fn a_wrong_call_ends_with_2_and_says_what_to_write() {
    for (arguments, expected) in [
        (&["sign"][..], "--key-env, --key-file or --sandbox"),
        (&["sign", "--key-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (&["sign", "--key-file", "nowhere"], "nowhere"),
        (&["sign", "--sandbox", "--key-env", "A"], "cannot be used with"),
        (&["sign", "--sandbox", "--scheme", "raw", "--in", "body"], "only jcs"),
        (&["sign", "--sandbox", "--curl", "127.0.0.1"], "http://"),
        (&["sign", "--sandbox", "--scheme", "md5"], "standard-webhooks"),
        (&["sign", "nowhere.json", "--sandbox"], "nowhere.json"),
    ] {
        let said = countersign(arguments).input("{}").run();
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(expected), "{arguments:?}: {said:?}");
    }
}
