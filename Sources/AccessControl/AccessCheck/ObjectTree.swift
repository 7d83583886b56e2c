/// The class of an object, its property sets and their properties: what an access by type asks for
/// (`OBJECT_TYPE_LIST`).
public struct ObjectTree: Hashable, Sendable {
    /// One node: a class, a property set or a property.
    public struct Node: Hashable, Sendable {
        /// How deep the node is: 0 for the object, at most 4.
        public var level: Int
        /// The GUID of the class, property set or property.
        public var type: GUID
        /// Makes a node.
        public init(level: Int, type: GUID) { (self.level, self.type) = (level, type) }
    }

    /// The nodes, each before its children.
    public let nodes: [Node]
    /// For each node: the index of its parent, -1 for the root.
    let parents: [Int]
    /// For each node: the index after its last descendant.
    let ends: [Int]

    /// The greatest number of nodes.
    public static let maximumNodes = 4096
    /// The greatest level.
    public static let maximumLevel = 4

    /// Makes a tree.
    ///
    /// - Returns: `nil` unless the first node, and only it, has level 0, each other is at most one level below the
    ///   one before it, and no GUID comes twice.
    public init?(_ nodes: [Node]) {
        guard let first = nodes.first, first.level == 0, nodes.count <= Self.maximumNodes,
            Set(nodes.map(\.type)).count == nodes.count
        else { return nil }
        var parents = [-1]
        var ends = Array(repeating: nodes.count, count: nodes.count)
        var path = [0]
        for (index, node) in nodes.enumerated().dropFirst() {
            guard (1...Self.maximumLevel).contains(node.level), node.level <= path.count else { return nil }
            for closed in path[node.level...] { ends[closed] = index }
            path.removeSubrange(node.level...)
            parents.append(path[node.level - 1])
            path.append(index)
        }
        (self.nodes, self.parents, self.ends) = (nodes, parents, ends)
    }
}

/// Bits for each node of an object tree.
///
/// What is granted or refused on a node holds for all below it. A refusal below refuses the nodes above; a grant
/// above follows only when every child has it.
struct TreeTally: Tally {
    private let tree: ObjectTree
    private(set) var granted: [UInt32]
    private var denied: [UInt32]

    init(_ tree: ObjectTree) {
        self.tree = tree
        granted = Array(repeating: 0, count: tree.nodes.count)
        denied = granted
    }

    func undecided(_ bits: UInt32) -> UInt32 {
        var out: UInt32 = 0
        for index in granted.indices { out |= bits & ~(granted[index] | denied[index]) }
        return out
    }

    mutating func allow(_ bits: UInt32, by reason: Reason) { allow(bits, at: 0) }
    mutating func deny(_ bits: UInt32, by reason: Reason) { deny(bits, at: 0) }

    mutating func allow(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) {
        if let node = node(for: ace) { allow(bits, at: node) }
    }
    mutating func deny(_ bits: UInt32, onObjectsOf ace: RawACE, by reason: Reason) {
        if let node = node(for: ace) { deny(bits, at: node) }
    }

    mutating func intersect(with other: Self, keeping kept: UInt32, layer: Layer) {
        for index in granted.indices { granted[index] &= other.granted[index] | kept }
    }

    /// The node an object entry is about: the root without a GUID; `nil` if the tree does not have it.
    private func node(for ace: RawACE) -> Int? {
        guard let type = ace.objectType else { return 0 }
        return tree.nodes.firstIndex { $0.type == type }
    }

    private mutating func allow(_ bits: UInt32, at node: Int) {
        for index in node..<tree.ends[node] { granted[index] |= bits & ~denied[index] }
        var parent = tree.parents[node]
        while parent >= 0 {
            var common = bits & ~denied[parent]
            var child = parent + 1
            while child < tree.ends[parent] {
                common &= granted[child]
                child = tree.ends[child]
            }
            if common & ~granted[parent] == 0 { return }
            granted[parent] |= common
            parent = tree.parents[parent]
        }
    }

    private mutating func deny(_ bits: UInt32, at node: Int) {
        let new = bits & ~granted[node]
        for index in node..<tree.ends[node] { denied[index] |= bits & ~granted[index] }
        var parent = tree.parents[node]
        while parent >= 0 {
            denied[parent] |= new & ~granted[parent]
            parent = tree.parents[parent]
        }
    }
}
