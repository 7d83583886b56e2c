import Foundation
import RegistryProtocol
import Testing

@Suite struct FrameTests {
    @Test func aMessageThatIsLongerThanWantedIsPassedOver() throws {
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        defer { close(reading) }
        let long = WireRegistryRequest.with {
            $0.id = 300
            $0.query = String(repeating: "x", count: 3_000_000)
        }
        let short = WireRegistryRequest.with {
            $0.id = 301
            $0.query = "v"
        }
        let numberless = WireRegistryRequest.with { $0.query = String(repeating: "x", count: 200_000) }
        Thread.detachNewThread {
            for message in [short, long, short, numberless] {
                try? RegistryFrames.send(message, on: writing)
            }
            close(writing)
        }
        let frames = RegistryFrames(reading)
        func next() -> Result<WireRegistryRequest, RegistryFrames.Failure> {
            do throws(RegistryFrames.Failure) {
                return .success(try frames.receive(WireRegistryRequest.self, upTo: 100_000))
            } catch { return .failure(error) }
        }
        #expect(try next().get() == short)
        guard case .failure(.tooLong(300)) = next() else {
            Issue.record("not passed over")
            return
        }
        #expect(try next().get() == short)
        guard case .failure(.malformed) = next() else {
            Issue.record("no number, and taken for one")
            return
        }
    }
}
