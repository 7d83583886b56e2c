/// Who the kernel takes a process for: what decides in Unix places.
package struct UnixCredentials: Sendable, Hashable {
    package let uid: UInt32
    package let gid: UInt32
    /// The supplementary groups, ordered and each once, so that equal credentials compare equal.
    package let groups: [UInt32]

    package init(uid: UInt32, gid: UInt32, groups: some Sequence<UInt32>) {
        self.uid = uid
        self.gid = gid
        self.groups = Set(groups).sorted()
    }

    /// Whether the kernel lets these do anything.
    package var isRoot: Bool { uid == 0 }
}
