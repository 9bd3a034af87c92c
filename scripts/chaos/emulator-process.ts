import { startEmulator } from '../../emulator/index.ts';
import { onShutdown, readConfig } from '../../shared/index.ts';

/** The embedded emulator as a process that can be killed: it comes back empty, at the same place. */
const { port } = readConfig();
const emulator = await startEmulator({ port });
onShutdown(() => emulator.close());
process.send?.({ host: emulator.host });
