import Foundation
import Testing

/// scripts/soak runs this for longer: GUISE_SOAK_SECONDS and GUISE_SOAK_SEED say how.
@Suite("For a long time", .asRoot)
struct SoakTests {
    @Test(
        "random clients, services and authorities that die, and changes: no decision is wrong, nothing is left"
    )
    func soak() throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["GUISE_SOAK_SECONDS"].flatMap { Double($0) } ?? 20
        let seed = environment["GUISE_SOAK_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        print("soak: GUISE_SOAK_SEED=\(seed) GUISE_SOAK_SECONDS=\(Int(seconds))")
        try onStage { stage in
            let summary = try Soak(stage, seconds: seconds, seed: seed).run()
            print(
                "soak: \(summary.sessions) sessions, \(summary.decisions) decisions: \(summary.granted) granted,"
                    + " \(summary.refused) refused, \(summary.disturbed) while something died; \(summary.changes) changes;"
                    + " died: \(summary.clientDeaths) clients, \(summary.serviceDeaths) services, guised"
                    + " \(summary.authorityDeaths) times")
            for figure in summary.figures { print("soak: \(figure)") }
            fflush(nil)
            #expect(summary.wrong.isEmpty, "seed \(seed): \(summary.wrong.count): \(summary.wrong.prefix(5))")
            #expect(summary.leaks.isEmpty, "seed \(seed): \(summary.leaks)")
            // It has to have put something to the test.
            #expect(summary.granted > 0 && summary.refused > 0 && summary.decisions > 50)
        }
    }
}
