//! A stream of server-sent events, as far as an answer needs it (HTML standard, "Server-sent events").

/// Reads events out of bytes as they come; keeps what is not yet whole.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    data: Option<Vec<u8>>,
}

impl Events {
    /// The data of each event that `bytes` complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_of_two = byte == b'\n' && std::mem::take(&mut self.after_cr);
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if second_of_two => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => self.line.push(byte),
            }
        }
        events
    }

    /// The event that the line ends, if it is an empty one.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let line = if self.begun { &line[..] } else { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            return self.data.take();
        }
        let rest = line.strip_prefix(b"data").filter(|rest| rest.is_empty() || rest.starts_with(b":"));
        if let Some(rest) = rest {
            let value = rest.strip_prefix(b":").unwrap_or(rest);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        let expected: Vec<Vec<u8>> = expected.iter().map(|data| data.as_bytes().to_vec()).collect();
        assert_eq!(Events::default().take(stream.as_bytes()), expected, "{stream:?}");
        // However it is cut.
        let mut events = Events::default();
        let found: Vec<Vec<u8>> = stream.as_bytes().iter().flat_map(|byte| events.take(&[*byte])).collect();
        assert_eq!(found, expected, "{stream:?} in bytes");
    }

    #[test]
    fn events_out_of_lines() {
        check("", &[]);
        check("data: {}\n\n", &["{}"]);
        check("data:{}\r\n\r\n", &["{}"]);
        check("data: a\r\rdata: b\n\n", &["a", "b"]);
        check("\u{feff}event: message\nid: 7\ndata: {\ndata: }\n\n", &["{\n}"]);
        check(": ping\n\nretry: 3\n\ndata\n\n", &[""]);
        check("database: x\n\n", &[]);
        check("data:  two\n\ndata: not whole", &[" two"]);
        check("data: é\n\n", &["é"]);
    }
}
