"""Connected components: those of SciPy, under the same numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.core.union_find import component_numbers


@given(count=st.integers(0, 60), data=st.data())
def test_components_are_those_of_scipy(count: int, data: st.DataObject) -> None:
    node = st.integers(0, max(count - 1, 0))
    edges = data.draw(st.lists(st.tuples(node, node), max_size=80 if count else 0))
    one, two = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, two)), shape=(max(count, 1),) * 2)
    expected = connected_components(graph, directed=False)[1][:count]
    np.testing.assert_array_equal(component_numbers(one, two, count), expected)
