import { startEmulator } from '../../emulator/index.ts';
import { conforms } from './suite.ts';

conforms({ name: 'the embedded emulator', missing: {}, start: () => startEmulator() });
