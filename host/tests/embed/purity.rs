//! What the artefact asks of its host: the store, and nothing else.

use countersign_host::proxy_wasm::imports;

use crate::memory::wasm;

#[test]
fn the_component_imports_the_store_and_nothing_else() {
    let imports = imports(&wasm()).unwrap();
    assert_eq!(imports, [(String::new(), "countersign:gate/store@0.2.0".to_owned())]);
}
