import Foundation
import Testing

@testable import GuiseDaemon

/// A state directory of one test, removed when the test is over.
final class ScratchState {
    let path: String
    private let parent: String

    init() throws {
        var template = Array("/tmp/guise-test-XXXXXX\0".utf8CString)
        let made = try #require(mkdtemp(&template))
        parent = String(cString: made)
        path = parent + "/state"
    }

    deinit { try? FileManager.default.removeItem(atPath: parent) }

    var database: String { path + "/guise.db" }

    func open() throws -> AccountStore { try AccountStore(directory: path) }

    /// Makes the state and closes it, so that all of it is in the database itself.
    func make(_ fill: (AccountStore) throws -> Void = { _ in }) throws {
        try fill(try open())
    }

    func bytes() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: database)) }

    func write(_ bytes: Data) throws { try bytes.write(to: URL(fileURLWithPath: database)) }

    /// Opens what must be refused, and checks that not one byte was changed.
    func refusal() throws -> StateError? {
        let before = try bytes()
        var refusal: StateError?
        do throws(StateError) {
            _ = try AccountStore(directory: path)
        } catch {
            refusal = error
        }
        #expect(try bytes() == before)
        return refusal
    }
}
