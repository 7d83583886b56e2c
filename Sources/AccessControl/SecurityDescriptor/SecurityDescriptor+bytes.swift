extension SecurityDescriptor {
    /// Reads the self-relative binary form.
    ///
    /// - Throws: what is wrong with the bytes, and where.
    public init(bytes: RawSpan) throws(DescriptorError) {
        self = try SecurityDescriptorView.with(bytes) { SecurityDescriptor($0) }
    }

    /// Reads the self-relative binary form.
    ///
    /// - Throws: what is wrong with the bytes, and where.
    public init(bytes: [UInt8]) throws(DescriptorError) {
        try self.init(bytes: bytes.span.bytes)
    }

    /// Copies what a view shows.
    public init(_ view: SecurityDescriptorView) {
        owner = view.owner
        group = view.group
        dacl = Self.list(view.rawDACL, present: view.control.contains(.daclPresent))
        sacl = Self.list(view.rawSACL, present: view.control.contains(.saclPresent))
        control = view.control.subtracting(.derived)
        resourceManagerControl = view.base.load(fromByteOffset: 1, as: UInt8.self)
        layout = Layout(view)
    }

    private static func list(_ raw: RawACL?, present: Bool) -> List {
        guard present else { return .absent }
        return raw.map { .present(ACL($0)) } ?? .null
    }

    /// The self-relative binary form, in the order of parts in which it was read; a new descriptor has its
    /// SACL first, then DACL, owner and group, as Windows writes it.
    public var bytes: [UInt8] {
        var out: [UInt8] = [1, resourceManagerControl]
        out.appendLittleEndian(wireControl.rawValue)
        out += [UInt8](repeating: 0, count: 16)
        for part in layout.order {
            switch part {
            case .owner: Self.place(owner, at: 4, in: &out) { $0.append(to: &$1) }
            case .group: Self.place(group, at: 8, in: &out) { $0.append(to: &$1) }
            case .sacl: Self.place(sacl.acl, at: 12, in: &out) { $0.append(to: &$1) }
            case .dacl: Self.place(dacl.acl, at: 16, in: &out) { $0.append(to: &$1) }
            }
        }
        return out
    }

    private static func place<Part>(
        _ part: Part?, at field: Int, in out: inout [UInt8], _ append: (Part, inout [UInt8]) -> Void
    ) {
        guard let part else { return }
        out.pad(to: 4)
        out.storeLittleEndian(UInt32(truncatingIfNeeded: out.count), at: field)
        append(part, &out)
    }

    /// The order of the parts in the binary form; it has no part in equality.
    struct Layout: Hashable, Sendable {
        enum Part: UInt8, Sendable { case owner, group, sacl, dacl }

        var order: [Part]

        static let standard = Layout(order: [.sacl, .dacl, .owner, .group])

        init(order: [Part]) { self.order = order }

        init(_ view: SecurityDescriptorView) {
            let offsets: [(Part, Int)] = [
                (.sacl, view.saclOffset), (.dacl, view.daclOffset), (.owner, view.ownerOffset),
                (.group, view.groupOffset),
            ]
            let order = offsets.filter { $0.1 != 0 }.sorted { $0.1 < $1.1 }.map(\.0)
            // Parts that were not there go to the end, in the standard order.
            self.order = order + Layout.standard.order.filter { !order.contains($0) }
        }

        static func == (lhs: Layout, rhs: Layout) -> Bool { true }
        func hash(into hasher: inout Hasher) {}
    }
}
