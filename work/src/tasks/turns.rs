//! Whose turn it is: pure.

/// Takes one of each group in turn, the first group first, until there are `limit` or none is left.
/// Within a group the order stays.
pub fn in_turns<T>(groups: Vec<Vec<T>>, limit: usize) -> Vec<T> {
    let mut groups: Vec<_> = groups.into_iter().map(Vec::into_iter).collect();
    let mut taken = Vec::new();
    while !groups.is_empty() && taken.len() < limit {
        groups.retain_mut(|group| match group.next() {
            Some(next) => {
                taken.push(next);
                true
            }
            None => false,
        });
    }
    taken.truncate(limit);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nobody_is_more_than_one_ahead_of_another_who_still_waits(
            sizes in prop::collection::vec(0usize..20, 0..8), limit in 0usize..100,
        ) {
            let numbered = |(group, size): (usize, &usize)| (0..*size).map(|n| (group, n)).collect::<Vec<_>>();
            let groups: Vec<_> = sizes.iter().enumerate().map(numbered).collect();
            let taken = in_turns(groups, limit);
            prop_assert_eq!(taken.len(), limit.min(sizes.iter().sum()));
            let of = |group| taken.iter().filter(|(from, _)| *from == group).map(|(_, n)| *n).collect::<Vec<_>>();
            for (group, size) in sizes.iter().enumerate() {
                let mine = of(group);
                prop_assert_eq!(&mine, &(0..mine.len()).collect::<Vec<_>>());
                if mine.len() < *size {
                    prop_assert!((0..sizes.len()).all(|other| of(other).len() <= mine.len() + 1));
                }
            }
        }
    }
}
