//! A bad application does not start, and says where it is bad.

use countersign_host::spin::{BlockingSpinApp, SpinOptions};

use crate::support::{lay_out, options};

/// The error of a start with the manifest changed from `from` to `to`.
fn refused(from: &str, to: &str, turn: impl FnOnce(&mut SpinOptions)) -> String {
    let directory = lay_out(|manifest| {
        assert!(manifest.contains(from), "{from}");
        manifest.replacen(from, to, 1)
    });
    std::fs::write(directory.path().join("empty.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    std::fs::write(directory.path().join("text.wasm"), b"text").unwrap();
    let mut options = options();
    turn(&mut options);
    format!("{:#}", BlockingSpinApp::load(&directory.path().join("spin.toml"), options).err().unwrap())
}

#[test]
fn the_error_names_the_path_in_the_manifest() {
    for (from, to, expected) in [
        ("name = ", "nme = ", "nme"),
        (
            "\"guest\"\n\n[[trigger.http]]\nroute = \"/echo/:",
            "\"gest\"\n\n[[trigger.http]]\nroute = \"/echo/:",
            "trigger.http[0].component: there is no [component.gest]",
        ),
        ("\"guest.wasm\"", "\"missing.wasm\"", "component.guest.source"),
        ("\"guest.wasm\"", "\"text.wasm\"", "component.guest.source"),
        ("\"guest.wasm\"", "\"empty.wasm\"", "component.guest: is no HTTP service"),
        (
            "{{ partner_key }}",
            "{{ partner_kay }}",
            "component.guest.variables.key: there is no \"partner_kay\" in [variables]",
        ),
        ("{ default = \"eu\" }", "{ }", "variables.region: write either"),
        ("source = \"assets\"", "source = \"asets\"", "component.guest.files[0].source"),
        (
            "source = \"assets\"",
            "source = \"/etc/hosts\"",
            "component.guest.files[0].source: \"/etc/hosts\" is outside of the manifest's folder: write its path from there, such as \"../hosts\"",
        ),
        ("source = \"assets\"", "source = \"/etc\"", "component.guest.files[0].source: \"/etc\" is outside"),
        (
            "[\"default\", \"second\"]",
            "[\"default\", \"third\"]",
            "component.guest.sqlite_databases: \"third\" is not defined: write \"default\"",
        ),
        (
            "key_value_stores = [\"default\"]",
            "key_value_stores = [\"second\"]",
            "component.guest.key_value_stores: \"second\" is not defined: write \"default\"",
        ),
        (
            "[application]",
            "[application.trigger.http]\nbase = \"/x\"\n\n[application]",
            "application.trigger: leave it out",
        ),
        (
            "component = \"hidden\"\n\n",
            "component = \"Hidden\"\n\n[component.Hidden]\nsource = \"x\"\n\n",
            "component.Hidden: is no id",
        ),
        ("notes/*.txt", "notes/*.md", "component.guest.files[1]"),
        (
            "\"assets\", destination = \"/assets\"",
            "\"notes/n.txt\", destination = \"/\"",
            "component.guest.files[0].destination: \"/\" is no file name",
        ),
        (
            "\"assets\", destination = \"/assets\"",
            "\"notes/n.txt\", destination = \"/a/../b\"",
            "component.guest.files[0].destination: \"/a/../b\" may not have . or ..",
        ),
        (
            "destination = \"/assets\"",
            "destination = \"/../assets\"",
            "component.guest.files[0].destination: \"/../assets\" may not have . or ..",
        ),
        ("notes/*.txt", "../*.txt", "component.guest.files[1]: \"../*.txt\": may not have .."),
        ("http://self", "self", "component.guest.allowed_outbound_hosts[1]"),
        (
            "route = { private = true }\ncomponent = \"hidden\"",
            "route = \"/h\"\ncomponent = \"other\"",
            "component.hidden: no [[trigger.http]]",
        ),
    ] {
        let message = refused(from, to, |_| {});
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn a_required_variable_without_a_value_says_how_to_set_it() {
    let message = refused("eu", "eu", |options| options.variables.clear());
    assert!(
        message.ends_with("variables.partner_key: required and not set: set SPIN_VARIABLE_PARTNER_KEY"),
        "{message}"
    );
}

#[test]
fn no_error_shows_a_secret() {
    let message = refused("https://{{ region }}", "{{ partner_key }} {{ oops }}", |_| {});
    assert!(message.contains("oops") && !message.contains("s3cret"), "{message}");
    let message = refused("http://self", "{{ partner_key }}", |_| {});
    assert!(message.contains("allowed_outbound_hosts[1]") && !message.contains("s3cret"), "{message}");
}
