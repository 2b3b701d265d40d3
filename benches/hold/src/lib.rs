//! What any filter that checks a body has to pay: it holds the headers, waits for the whole body, copies it into the VM, reads
//! one header field, and lets the request go. It decides nothing.

// As the filter itself: nothing here runs on any other target.
#![cfg(target_arch = "wasm32")]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, MapType};

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        if end_of_stream { Action::Continue } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        let body = hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size).ok().flatten();
        let signature =
            hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, "x-signature").ok().flatten();
        // Whoever lacks either would be refused by a filter that checks: the bench's answers would then not all be 200.
        if body.is_some_and(|body| body.len() == size) && signature.is_some() {
            Action::Continue
        } else {
            let _unsent = hostcalls::send_http_response(500, Vec::new(), None);
            Action::Pause
        }
    }
}

mod entry {
    use proxy_wasm::traits::RootContext;

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_context| -> Box<dyn RootContext> { Box::new(crate::Root) });
    }}
}
