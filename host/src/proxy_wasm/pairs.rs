//! Header maps as the ABI serialises them: count, then the sizes of all names and values, then their bytes, each ended by NUL.

use crate::http::Headers;

/// Larger maps are read as empty, as the C++ host does.
const BYTES_MAX: usize = 1024 * 1024;
const COUNT_MAX: usize = 1024;

/// Writes a map for the guest.
pub(super) fn write(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = size(pairs.len());
    for (name, value) in pairs {
        bytes.extend(size(name.len()));
        bytes.extend(size(value.len()));
    }
    for (name, value) in pairs {
        for part in [name, value] {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
    }
    bytes
}

/// Reads a map from the guest; a malformed one is empty, which is what the C++ host makes of it.
pub(super) fn read(bytes: &[u8]) -> Headers {
    if bytes.len() > BYTES_MAX { Headers::new() } else { parse(bytes).unwrap_or_default() }
}

fn parse(mut rest: &[u8]) -> Option<Headers> {
    let count = take_size(&mut rest)?;
    if count > COUNT_MAX {
        return None;
    }
    let sizes = (0..count)
        .map(|_| Some((take_size(&mut rest)?, take_size(&mut rest)?)))
        .collect::<Option<Vec<_>>>()?;
    let pairs = sizes
        .into_iter()
        .map(|(name, value)| Some((take_part(&mut rest, name)?, take_part(&mut rest, value)?)))
        .collect::<Option<Headers>>()?;
    rest.is_empty().then_some(pairs)
}

fn take_size(rest: &mut &[u8]) -> Option<usize> {
    let (size, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

fn take_part(rest: &mut &[u8], size: usize) -> Option<Vec<u8>> {
    let (part, after) = rest.split_at_checked(size)?;
    let (nul, after) = after.split_first()?;
    *rest = after;
    (*nul == 0).then(|| part.to_vec())
}

fn size(size: usize) -> Vec<u8> {
    u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_with_any_bytes_survives_the_round_trip() {
        let map = vec![(b"a".to_vec(), vec![0xFF, 0, 7]), (b"b".to_vec(), Vec::new())];
        assert_eq!(read(&write(&map)), map);
    }

    #[test]
    fn a_map_cut_short_or_with_a_tail_is_empty() {
        let bytes = write(&[(b"name".to_vec(), b"value".to_vec())]);
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Headers::new(), "cut at {end}");
        }
        assert_eq!(read(&[bytes, vec![0]].concat()), Headers::new());
    }
}
