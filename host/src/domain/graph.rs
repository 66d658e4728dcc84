//! Which child of a flow depends on which: found from what the host saw, without help from the flow's author.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::run::Upstream;

/// Edges of one graph: as many as a person could still look at, and a browser draw.
pub const MAX_EDGES: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The result of the one is an argument of the other.
    Data,
    /// The flow knew how the one had ended before it submitted the other.
    Order,
}

/// From one place to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    pub kind: EdgeKind,
}

/// The edges between a flow's first children, which are given by place. An edge of order is left out where other edges
/// say as much. The second value tells whether there were more edges than [`MAX_EDGES`].
pub fn edges(children: &[Option<&Upstream>]) -> (Vec<Edge>, bool) {
    let mut edges = Vec::new();
    // For each child, all that lie before it.
    let mut before: Vec<Places> = Vec::with_capacity(children.len());
    let mut waited: Vec<u32> = Vec::new();
    // Of `waited`, how many lay before some other that was waited for: they need no edge any more.
    let mut surpassed = 0;
    let mut submitted_after: Vec<usize> = Vec::with_capacity(children.len());
    let nothing = Upstream::default();
    for (to, upstream) in (0..).zip(children) {
        let upstream = upstream.unwrap_or(&nothing);
        for seq in upstream.waited() {
            surpassed = surpassed.max(submitted_after.get(seq as usize).copied().unwrap_or(0));
            waited.push(seq);
        }
        submitted_after.push(waited.len());
        let mut own = Places::new(children.len());
        let mut add = |from: u32, kind, own: &mut Places| {
            edges.push(Edge { from, to, kind });
            own.add_all(&before[from as usize]);
            own.add(from);
        };
        let earlier = |seqs: &[u32]| seqs.iter().copied().filter(|&seq| seq < to).collect::<Vec<_>>();
        let mut direct = Places::new(children.len());
        for from in earlier(&upstream.data).into_iter().chain(earlier(&upstream.equal)) {
            if !direct.has(from) {
                direct.add(from);
                add(from, EdgeKind::Data, &mut own);
            }
        }
        let asked = earlier(&upstream.order);
        let known = waited[surpassed..].iter().rev().copied().filter(|&seq| seq < to);
        for from in asked.into_iter().chain(known) {
            if !own.has(from) {
                add(from, EdgeKind::Order, &mut own);
            }
        }
        before.push(own);
        if edges.len() > MAX_EDGES {
            edges.truncate(MAX_EDGES);
            return (edges, true);
        }
    }
    (edges, false)
}

/// A set of places.
struct Places(Vec<u64>);

impl Places {
    fn new(most: usize) -> Places {
        Places(vec![0; most.div_ceil(64)])
    }

    fn has(&self, place: u32) -> bool {
        self.0[place as usize / 64] & (1 << (place % 64)) != 0
    }

    fn add(&mut self, place: u32) {
        self.0[place as usize / 64] |= 1 << (place % 64);
    }

    fn add_all(&mut self, others: &Places) {
        self.0.iter_mut().zip(&others.0).for_each(|(own, other)| *own |= other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(children: &[Upstream]) -> Vec<(u32, u32, EdgeKind)> {
        let children: Vec<_> = children.iter().map(Some).collect();
        let (edges, more) = edges(&children);
        assert!(!more);
        edges.iter().map(|edge| (edge.from, edge.to, edge.kind)).collect()
    }

    fn after(waited: &[(u32, u32)]) -> Upstream {
        Upstream { waited: waited.to_vec(), ..Upstream::default() }
    }

    use EdgeKind::{Data, Order};

    #[test]
    fn what_is_waited_for_one_by_one_is_a_chain() {
        let children = [after(&[]), after(&[(0, 0)]), after(&[(1, 1)])];
        assert_eq!(found(&children), [(0, 1, Order), (1, 2, Order)]);
    }

    #[test]
    fn data_between_two_stands_for_their_order() {
        let takes = |seq: u32| Upstream { equal: vec![seq], ..after(&[(seq, seq)]) };
        assert_eq!(found(&[after(&[]), takes(0), takes(1)]), [(0, 1, Data), (1, 2, Data)]);
    }

    #[test]
    fn many_are_gathered_by_one_and_it_alone_leads_on() {
        let children = [after(&[]), after(&[]), after(&[]), after(&[(0, 2)]), after(&[(3, 3)])];
        assert_eq!(found(&children), [(2, 3, Order), (1, 3, Order), (0, 3, Order), (3, 4, Order)]);
    }

    #[test]
    fn who_was_passed_on_as_an_argument_needs_no_edge_of_order() {
        let takes_first = Upstream { data: vec![0], ..after(&[]) };
        let children = [after(&[]), takes_first, after(&[(0, 1)])];
        assert_eq!(found(&children), [(0, 1, Data), (1, 2, Order)]);
    }

    #[test]
    fn a_late_wait_still_counts_for_those_submitted_after_it() {
        // 0 and 1 run side by side; 2 follows 1, 3 follows both 0 and 2.
        let children = [after(&[]), after(&[]), after(&[(1, 1)]), after(&[(2, 2), (0, 0)])];
        assert_eq!(found(&children), [(1, 2, Order), (0, 3, Order), (2, 3, Order)]);
    }

    #[test]
    fn edges_are_bounded() {
        let mut children = vec![after(&[]); 300];
        children.push(after(&[(0, 299)]));
        children.extend(vec![after(&[]); 200]);
        let children: Vec<_> = children.iter().map(Some).collect();
        let (edges, more) = edges(&children);
        assert_eq!((edges.len(), more), (MAX_EDGES, true));
    }
}
