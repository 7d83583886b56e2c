/// What an executor that runs tasks as a client carries, for the authority to find. It lies behind the 16 bytes with
/// which every Swift object begins, the kind of the object first (TaskTrail in guise.proto).
///
/// Swift runs the jobs of many tasks on a thread in a row, an actor's above all, and asks no executor in between. So no
/// thread can be told whose it is at present; it is found out when it matters, on a thread that waits in a trap.
package struct TaskMark: Sendable {
    /// The first eight bytes of the attachment's nonce: the handle means nothing in another.
    package let attachment: UInt64
    package let handle: UInt64
    /// Tells the bodies of a process apart. Never 0, never given twice.
    package let body: UInt64

    package init(attachment: UInt64, handle: UInt64, body: UInt64) {
        self.attachment = attachment
        self.handle = handle
        self.body = body
    }

    /// The size of the object's header, in bytes.
    package static let offset = 16
}
