import CGuise
import Glibc
import GuiseProtocol

/// What the calling thread acts under, as far as this process can say: its slot in the identity page and the
/// capture whose handle the slot holds. What is stored while a task acts as a client counts for that task's body
/// alone; outside of bodies it counts for the thread.
///
/// Every function here is synchronous and touches the calling thread alone.
enum ThreadIdentity {
    /// Puts a handle into the calling thread's slot. The capture lives at least as long as it stands there.
    @inline(__always)
    static func install(_ handle: UInt64, of capture: Capture, in authority: Authority) throws(GuiseError) {
        let thread = guise_thread_current()!
        if thread.pointee.generation != authority.generation || thread.pointee.handle == nil {
            try claim(thread, in: authority)
        }
        store(handle, body: IdentityExecutor.currentBody, capture, thread)
    }

    @inline(__always)
    private static func store(
        _ handle: UInt64, body: UInt64, _ capture: Capture, _ thread: UnsafeMutablePointer<guise_thread>
    ) {
        let before = thread.pointee.identity
        thread.pointee.identity = Unmanaged.passRetained(capture).toOpaque()
        guise_handle_store(thread.pointee.handle + 1, body)
        guise_handle_store(thread.pointee.handle, handle)
        if let before { Unmanaged<Capture>.fromOpaque(before).release() }
    }

    /// Empties the calling thread's slot.
    @inline(__always)
    static func clear() {
        let thread = guise_thread_current()!
        guard let before = thread.pointee.identity else { return clearAssigned(thread) }
        guise_handle_store(thread.pointee.handle, 0)
        thread.pointee.identity = nil
        Unmanaged<Capture>.fromOpaque(before).release()
    }

    /// Empties a slot that another thread filled (``setThreadToken(_:thread:process:)``).
    private static func clearAssigned(_ thread: UnsafeMutablePointer<guise_thread>) {
        if let slot = thread.pointee.handle {
            if guise_handle_load(slot) != 0 { guise_handle_store(slot, 0) }
        } else if let page = Authority.current?.page, page.hasAssignedThreads,
            let index = page.index(of: UInt32(bitPattern: guise_gettid()))
        {
            guise_handle_store(page.handle(at: index), 0)
        }
    }

    /// Takes over a slot that the authority made for the calling thread, if it did.
    private static func adopt(
        _ thread: UnsafeMutablePointer<guise_thread>, in authority: Authority?
    ) throws(GuiseError) {
        guard thread.pointee.handle == nil, let authority, authority.page.hasAssignedThreads,
            authority.page.index(of: UInt32(bitPattern: guise_gettid())) != nil
        else { return }
        try claim(thread, in: authority)
    }

    /// Empties the slot if what it holds was stored by a task of a body, at the end of its turn.
    static func clearBodies() {
        let thread = guise_thread_current()!
        if thread.pointee.identity != nil, guise_handle_load(thread.pointee.handle + 1) != 0 { clear() }
    }

    /// What stands in the slot, to be put back with ``restore(_:)``.
    struct Saved {
        let handle: UInt64
        let body: UInt64
        /// nil where another thread filled the slot: then the authority keeps what it stands for.
        let capture: Capture?
        /// Of the attachment that the handle means something in.
        let generation: UInt32
    }

    static func save() -> Saved {
        let thread = guise_thread_current()!
        if thread.pointee.handle == nil { try? adopt(thread, in: Authority.current) }
        guard let slot = thread.pointee.handle else {
            return Saved(handle: 0, body: 0, capture: nil, generation: 0)
        }
        return Saved(
            handle: guise_handle_load(slot), body: guise_handle_load(slot + 1),
            capture: thread.pointee.identity.map {
                Unmanaged<Capture>.fromOpaque($0).takeUnretainedValue()
            }, generation: thread.pointee.generation)
    }

    /// Puts back what ``save()`` found. The slot is the same thread's, so nothing can fail.
    static func restore(_ saved: Saved) {
        guard saved.handle != 0 else { return clear() }
        let thread = guise_thread_current()!
        guard let slot = thread.pointee.handle else { return }
        // The number means something in the attachment that it is of, and nothing in a later one.
        guard saved.generation == thread.pointee.generation else { return clear() }
        guard let capture = saved.capture else {
            clear()
            guise_handle_store(slot + 1, saved.body)
            guise_handle_store(slot, saved.handle)
            return
        }
        store(saved.handle, body: saved.body, capture, thread)
    }

    /// The handle that the calling thread acts by; 0 when it is the process. By the rule that the authority goes by where
    /// a call of the thread is trapped.
    ///
    /// - Throws: ``GuiseError/accessDenied(_:)`` when the thread acts by one of another attachment.
    static func handle(in authority: Authority?) throws(GuiseError) -> UInt64 {
        let thread = guise_thread_current()!
        let mark = IdentityExecutor.currentMark
        try adopt(thread, in: authority)
        if let slot = thread.pointee.handle {
            let handle = guise_handle_load(slot)
            if handle != 0, guise_handle_load(slot + 1) == mark?.body ?? 0 {
                guard thread.pointee.generation == authority?.generation else { throw gone }
                return handle
            }
        }
        guard let mark else { return 0 }
        guard mark.attachment == authority?.tag else { throw gone }
        return mark.handle
    }

    private static var gone: GuiseError {
        .accessDenied("the thread acts under an identity that is gone; call revertToSelf()")
    }

    /// Says in the calling thread's slot what its calls are for; returns what stood there.
    static func declare(_ intent: UInt64, in authority: Authority) throws(GuiseError) -> UInt64 {
        let thread = guise_thread_current()!
        if thread.pointee.generation != authority.generation || thread.pointee.handle == nil {
            try claim(thread, in: authority)
        }
        let before = guise_handle_load(thread.pointee.handle + 3)
        guise_handle_store(thread.pointee.handle + 3, intent)
        return before
    }

    /// Puts back what ``declare(_:in:)`` returned. Where the thread has no slot any more, a child made by fork, there is
    /// nothing to take back.
    static func redeclare(_ intent: UInt64) {
        let thread = guise_thread_current()!
        if thread.pointee.handle != nil { guise_handle_store(thread.pointee.handle + 3, intent) }
    }

    /// The slow path of ``install(_:of:in:)``: the thread's first time with this attachment.
    private static func claim(
        _ thread: UnsafeMutablePointer<guise_thread>, in authority: Authority
    ) throws(GuiseError) {
        guard authority.client.isOwn else {
            throw .notAttached("this is a child made by fork: the connection was its parent's to impersonate")
        }
        // A slot of an earlier attachment lies in a page that no authority reads any more.
        if thread.pointee.identity != nil { clear() }
        thread.pointee.handle = nil
        let tid = guise_gettid()
        guard let index = authority.page.claim(UInt32(bitPattern: tid), inode: inode(ofThread: tid)) else {
            throw .tooManyThreads(
                "all slots this thread could have are taken: the process attached for \(authority.threads)"
                    + " impersonating threads; attach with a larger `threads:`")
        }
        thread.pointee.handle = authority.page.handle(at: index)
        thread.pointee.index = UInt32(index)
        thread.pointee.generation = authority.generation
        guise_thread_watch()
    }

    /// By which the authority knows this thread from a later one with its id; 0 when that cannot be had.
    private static func inode(ofThread tid: Int32) -> UInt64 {
        let descriptor = guise_pidfd_open(tid, true)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        return guise_pidfd_identity(descriptor)
    }

    /// Runs at the end of every thread that had a slot.
    private static let prepared: Void = {
        _ = guise_thread_prepare {
            let thread = guise_thread_current()!
            ThreadIdentity.clear()
            guard thread.pointee.handle != nil else { return }
            thread.pointee.handle = nil
            if let authority = Authority.current, authority.generation == thread.pointee.generation {
                authority.page.release(Int(thread.pointee.index))
            }
        }
    }()

    static func prepare() { prepared }

    /// In a child made by fork: the slot is the parent's, and not mapped here.
    static func forget() {
        let thread = guise_thread_current()!
        thread.pointee.handle = nil
        thread.pointee.identity = nil
        Authority.forget()
    }
}
