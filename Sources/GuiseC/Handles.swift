import CGuise
import Glibc
import Guise
import Synchronization

/// What C programs hold of one kind of object: numbers that look like pointers and are none. None is given twice, of
/// any kind, so one that was closed, made up or meant for something else is found out.
final class HandleTable<Object: AnyObject & Sendable>: Sendable {
    private let kind: String
    // Several, so that threads seldom wait for each other: every call looks a handle up.
    private let parts = InlineArray<64, Mutex<[UInt: Object]>> { _ in Mutex([:]) }

    init(_ kind: String) { self.kind = kind }

    func add(_ object: Object) -> OpaquePointer {
        let number = Handles.newNumber()
        parts[Self.part(of: number)].withLock { $0[number] = object }
        return OpaquePointer(bitPattern: number)!
    }

    func object(_ handle: OpaquePointer?) throws(Failure) -> Object {
        let number = try number(handle)
        guard let object = parts[Self.part(of: number)].withLock({ $0[number] }) else { throw unknown }
        return object
    }

    @discardableResult
    func remove(_ handle: OpaquePointer?) throws(Failure) -> Object {
        let number = try number(handle)
        let removed = parts[Self.part(of: number)].withLock { $0.removeValue(forKey: number) }
        guard let removed else { throw unknown }
        return removed
    }

    private func number(_ handle: OpaquePointer?) throws(Failure) -> UInt {
        guard let handle else { throw .invalid("NULL was given for a \(kind)") }
        return UInt(bitPattern: handle)
    }

    private var unknown: Failure {
        Failure(
            EBADF, "this is no \(kind) of this process: it was closed, or never was, or is one of a parent's")
    }

    private static func part(of number: UInt) -> Int { Int(number >> 3 & 63) }
}

/// The handles of this process.
enum Handles {
    // Changed in a child made by fork alone, which has one thread then.
    private(set) nonisolated(unsafe) static var connections = HandleTable<Connection>("connection")
    private(set) nonisolated(unsafe) static var tokens = HandleTable<TokenCopy>("token")
    private(set) nonisolated(unsafe) static var pipes = HandleTable<NamedPipe.Server>("pipe")

    private static let count = Atomic<UInt>(0)

    static func newNumber() -> UInt {
        _ = prepared
        // Odd, which no pointer to anything of C's is.
        return count.add(1, ordering: .relaxed).newValue << 3 | 5
    }

    /// A child has none of its parent's. They are kept, since they are the parent's to end, and their locks may be
    /// held by threads that the child does not have.
    private static let prepared: CInt = guise_fork_prepare {
        _ = Unmanaged.passRetained(Handles.connections)
        _ = Unmanaged.passRetained(Handles.tokens)
        _ = Unmanaged.passRetained(Handles.pipes)
        Handles.connections = HandleTable("connection")
        Handles.tokens = HandleTable("token")
        Handles.pipes = HandleTable("pipe")
    }
}

/// Has a function of guise.h hand out a handle.
@inline(__always)
func handOut<Object>(
    _ table: HandleTable<Object>, to out: UnsafeMutablePointer<OpaquePointer?>?, _ make: () throws -> Object
) -> CInt {
    outcome {
        guard let out else { throw Failure.invalid("NULL was given for where the handle goes") }
        out.pointee = table.add(try make())
        return 0
    }
}
