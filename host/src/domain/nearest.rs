//! What was meant by a name that does not exist.

/// The nearest of `names` to one that does not exist, if any is near enough to have been meant.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= name.len().max(candidate.len()) / 3 || (name.len() > 2 && candidate.starts_with(name))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let names = ["mensagem_hello", "flow_hello"];
        assert_eq!(nearest("mensagem", names), Some("mensagem_hello"));
        assert_eq!(nearest("flow_helo", names), Some("flow_hello"));
        assert_eq!(nearest("outra", names), None);
    }
}
