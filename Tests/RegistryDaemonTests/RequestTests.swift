import AccessControl
import Foundation
import RegistryModel
import RegistryProtocol
import Synchronization
import Testing

@testable import RegistryDaemon

@Suite struct RequestTests {
    let requests: RegistryRequests
    init() throws {
        let session = RegistrySession(try RegistryEngine(MemoryStorage()))
        requests = RegistryRequests(session, caller: { system }, tell: { _, _ in }, settle: { _, _ in })
    }

    private func ask(_ key: UInt64, _ body: WireRegistryRequest.OneOf_Body) -> WireRegistryAnswer.OneOf_Body?
    {
        requests.answer(
            .with {
                $0.id = 5
                $0.key = key
                $0.body = body
            })?.body
    }

    private func open(_ path: String, create: Bool = true) throws -> UInt64 {
        let answer = ask(
            0,
            .open(
                .with {
                    $0.path = path
                    $0.access = RegistryAccess.allAccess.rawValue
                    $0.create = create
                }))
        guard case .opened(let opened) = answer else {
            throw RegistryError.invalid("\(String(describing: answer))")
        }
        return opened.key
    }

    @Test func answersComeByTheRequestsNumber() throws {
        let key = try open("Machine\\K")
        #expect(
            ask(
                key,
                .set(
                    .with {
                        $0.type = 4; $0.data = Data([1, 0, 0, 0])
                    })) == .done(true))
        guard case .value(let value) = ask(key, .query("")) else {
            Issue.record("no value")
            return
        }
        #expect(value.type == 4)
        #expect(ask(key, .close(true)) == nil)
        guard case .refused(let refusal) = ask(key, .query("")) else {
            Issue.record("no refusal")
            return
        }
        #expect(RegistryError(refusal).windowsCode == 6)
    }

    @Test func everyErrorComesBackAsItself() {
        let errors: [RegistryError] = [
            .keyNotFound("1"), .valueNotFound("2"), .accessDenied("3"), .privilegeNotHeld("4"),
            .invalidName("5"),
            .nameTooLong("6"), .invalidPath("7"), .pathTooDeep("8"), .valueTooLarge("9"), .wrongType("10"),
            .alreadyExists("11"), .keyDeleted("12"), .hasSubkeys("13"), .childMustBeVolatile("14"),
            .linkUnresolved("15"), .invalidSecurity("16"), .invalidHandle("17"), .conflict("18"),
            .transactionEnded("19"), .limitReached("20"), .levelTooLow("21"), .invalid("22"),
            .notASavedKey("23"),
            .damaged("24"), .storageFailed("25"), .unavailable("26"),
        ]
        for error in errors { #expect(RegistryError(WireRegistryRefusal(error)) == error) }
    }

    /// Bytes as a hostile client sends them: requests with bytes changed, and no request at all.
    @Test func hostileBytesAreAnsweredOrRefused() throws {
        let key = try open("Machine\\K")
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        let bodies: [WireRegistryRequest.OneOf_Body] = [
            .open(
                .with {
                    $0.path = "Machine\\K\\L"; $0.access = 0xf003f; $0.create = true;
                    $0.descriptor = Data([1, 0, 4, 0x80])
                }),
            .query("v"), .values(.with { $0.limit = 3 }),
            .subkeys(
                .with {
                    $0.hasAfter_p = true; $0.after = "K"
                }),
            .information(true),
            .set(
                .with {
                    $0.name = "v"; $0.type = 1; $0.data = Data([0x61, 0])
                }), .deleteValue("v"),
            .delete(
                .with {
                    $0.path = "L"; $0.tree = true
                }), .rename("M"), .copy(.with { $0.target = 1 }), .descriptor(7),
            .setDescriptor(
                .with {
                    $0.parts = 4; $0.descriptor = Data(RegistryEngine.hiveDescriptor.bytes)
                }), .flush(true),
            .watch(
                .with {
                    $0.kinds = 15; $0.subtree = true
                }), .endWatch(1), .taken(1), .begin(true), .commit(2), .rollBack(3),
        ]
        for _ in 0..<20_000 {
            let request = WireRegistryRequest.with {
                $0.id = 1
                $0.key = UInt64(random(4)) + key - 1
                $0.body = bodies[random(bodies.count)]
            }
            var bytes: [UInt8] = try request.serializedBytes()
            for _ in 0..<random(4) { bytes[random(bytes.count)] = UInt8(random(256)) }
            if random(10) == 0 { bytes = Array(bytes.prefix(random(bytes.count) + 1)) }
            guard let read = try? WireRegistryRequest(serializedBytes: bytes) else { continue }
            _ = requests.answer(read)
        }
        _ = try open("Machine\\After")
    }
}
